"""ClickHouse's tables: one template, rendered for a single node or for a cluster.

In a cluster, one shard holds all rows of a site, in replicated tables named `…_local`. Distributed
tables over them have the plain names, so statements are the same in both. The states of hours and
days are small and every shard reads them, so each node has all of them.
"""

import re
from pathlib import Path
from string import Template

from clickhouse_connect.driver import Client

from deploy.migrations import clickhouse_granularity

SOURCE = Path(__file__).parent / "sql" / "clickhouse.sql"

SHARDED = ("raw_events", "hourly_counts", "hourly_totals", "daily_counts")
"""Tables with a `site_id`, which selects the shard."""

SLACK_DAYS = 7
"""How long raw events stay after they stop counting, so no hour is rolled up from half of them."""

GRANULARITY = 1024
"""The number of rows that a read takes at least from each part of a table. One metric of a site has
some 700 counts in a month; with the default of 8192, a read takes those of many other sites too."""

_DISTRIBUTED = (
    "CREATE TABLE IF NOT EXISTS {table} ON CLUSTER {cluster} AS {table}_local"
    " ENGINE = Distributed({cluster}, currentDatabase(), {table}_local, cityHash64(site_id))"
)

# Fills the totals of hours that were rolled up before the table existed.
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
    """Upgrade the database to the newest schema.

    Args:
        cluster: its name in the configuration of the servers; empty for a single node.
        raw_retention_days: how long raw events count.
    """
    on_cluster = f" ON CLUSTER {_quoted(cluster)}" if cluster else ""
    client.command(f"CREATE DATABASE IF NOT EXISTS {_quoted(database)}{on_cluster}")
    client.database = database
    for statement in statements(cluster=cluster, raw_retention_days=raw_retention_days):
        client.command(statement)
    if not cluster:
        clickhouse_granularity.change_granularity(client, GRANULARITY)


def statements(*, cluster: str, raw_retention_days: int) -> list[str]:
    """The statements of an upgrade, in order."""
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
        found += [_DISTRIBUTED.format(table=table, cluster=_quoted(cluster)) for table in SHARDED]
    return [*found, _FILL_TOTALS]


def _engine(shard: str, replica: str, *version: str) -> str:
    """A replicated table engine; the servers replace the names in braces by their macros."""
    path = f"/clickhouse/tables/{shard}/{{database}}/{{table}}"
    return f"ReplicatedReplacingMergeTree({', '.join([repr(path), repr(replica), *version])})"


def _quoted(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"
