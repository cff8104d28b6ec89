"""Merges of finished partitions.

A query opens every part of a partition, and ClickHouse leaves a handful of parts in a finished one.
"""

from subgraphs.kernel.config import settings
from subgraphs.kernel.storage import clickhouse

_PARTITIONED = ("daily_counts", "hourly_counts", "hourly_totals", "raw_events")
"""Tables with one partition a month or a year. The partition's ID is that month or year."""

_UNMERGED = """
    SELECT table, partition_id FROM system.parts
    WHERE active AND database = currentDatabase() AND table IN {tables:Array(String)}
      AND partition_id < left(toString(toYYYYMM(now() - INTERVAL 1 DAY)), length(partition_id))
    GROUP BY table, partition_id HAVING count() > 1
    ORDER BY table, partition_id
"""


async def merge_finished() -> int:
    """Merge each partition whose month or year is over into one part.

    Returns the number of partitions that were merged.
    """
    client = await clickhouse.client()
    cluster = settings().clickhouse_cluster
    tables = [f"{table}_local" if cluster else table for table in _PARTITIONED]
    partitions = (await client.query(_UNMERGED, {"tables": tables})).result_rows
    for table, partition in partitions:
        on_cluster = " ON CLUSTER {cluster:Identifier}" if cluster else ""
        statement = (
            f"OPTIMIZE TABLE {{table:Identifier}}{on_cluster} PARTITION ID {{id:String}} FINAL"
        )
        await client.command(statement, {"table": table, "id": partition, "cluster": cluster})
    return len(partitions)
