"""ClickHouse's tables: one text, rendered for a single node or for a cluster.

In a cluster the rows of a site live on one shard, in replicated tables named `…_local`; the public
names are Distributed tables over them, so statements read and write the same names in both. The
states of hours and days are small and asked for by every shard: each node has them whole.
"""

import re
from pathlib import Path
from string import Template

from clickhouse_connect.driver import Client

from deploy.migrations import clickhouse_granularity

SOURCE = Path(__file__).parent / "sql" / "clickhouse.sql"

SHARDED = ("raw_events", "hourly_counts", "hourly_totals", "daily_counts")
"""Tables with a `site_id`, which chooses their shard."""

SLACK_DAYS = 7
"""Raw events outlive what is rolled by so much: an hour near the end is never rolled half."""

GRANULARITY = 1024
"""Rows that are read at least, by each part of a table: one site's metric has some 700 counts in a
month, and few events in an open hour. ClickHouse's 8192 would read many others' with them."""

_DISTRIBUTED = (
    "CREATE TABLE IF NOT EXISTS {table} ON CLUSTER {cluster} AS {table}_local"
    " ENGINE = Distributed({cluster}, currentDatabase(), {table}_local, cityHash64(site_id))"
)

# The totals of hours that were rolled before there was a table for them.
_FILL_TOTALS = """
    INSERT INTO hourly_totals
    SELECT site_id, timestamp, metric, value, version FROM hourly_counts
    WHERE dimension = '' AND timestamp GLOBAL IN (
        SELECT timestamp FROM (
            SELECT timestamp, count(), sum(version)
            FROM hourly_counts FINAL WHERE dimension = '' GROUP BY timestamp
            EXCEPT
            SELECT timestamp, count(), sum(version) FROM hourly_totals FINAL GROUP BY timestamp
        )
    )
"""


def upgrade(client: Client, *, database: str, cluster: str, raw_retention_days: int) -> None:
    """Bring the database to the newest shape.

    Args:
        cluster: its name in the servers' configuration; empty for a single node.
        raw_retention_days: how long single events count.
    """
    on_cluster = f" ON CLUSTER {_quoted(cluster)}" if cluster else ""
    client.command(f"CREATE DATABASE IF NOT EXISTS {_quoted(database)}{on_cluster}")
    client.database = database
    for statement in statements(cluster=cluster, raw_retention_days=raw_retention_days):
        client.command(statement)
    if not cluster:
        clickhouse_granularity.renew(client, GRANULARITY)


def statements(*, cluster: str, raw_retention_days: int) -> list[str]:
    """The statements of an upgrade, in their order."""
    text = Template(SOURCE.read_text()).substitute(
        {table: f"{table}_local" if cluster else table for table in SHARDED},
        on_cluster=f"ON CLUSTER {_quoted(cluster)}" if cluster else "",
        replacing=_engine("{shard}", "{replica}") if cluster else "ReplacingMergeTree",
        replacing_by_version=_engine("{shard}", "{replica}", "version")
        if cluster
        else "ReplacingMergeTree(version)",
        everywhere_by_version=_engine("all", "{shard}-{replica}", "version")
        if cluster
        else "ReplacingMergeTree(version)",
        granularity=GRANULARITY,
        raw_days=raw_retention_days + SLACK_DAYS,
    )
    text = re.sub(r"^--.*\n", "", text, flags=re.MULTILINE)
    found = [part.strip() for part in text.split(";\n") if part.strip()]
    if cluster:
        found += [_DISTRIBUTED.format(table=it, cluster=_quoted(cluster)) for it in SHARDED]
    return [*found, _FILL_TOTALS]


def _engine(shard: str, replica: str, *version: str) -> str:
    """A replicated engine; names in braces are the servers' own macros."""
    path = f"/clickhouse/tables/{shard}/{{database}}/{{table}}"
    return f"ReplicatedReplacingMergeTree({', '.join([repr(path), repr(replica), *version])})"


def _quoted(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"
