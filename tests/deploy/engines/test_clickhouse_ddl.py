"""The DDL of ClickHouse: run on a single node, and parsed by the engine for a cluster."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import clickhouse_connect
import pytest
from clickhouse_connect.driver import Client

from deploy.migrations import clickhouse
from subgraphs.kernel.config import settings

pytestmark = pytest.mark.usefixtures("stores")

TABLES = [
    "daily_counts",
    "hourly_counts",
    "hourly_totals",
    "raw_events",
    "rolled_days",
    "rolled_hours",
    "totals_of_hours",
]

FIRST_TABLES = """
CREATE TABLE raw_events (
    site_id UUID, metric LowCardinality(String), occurred_at DateTime64(3, 'UTC'), id UUID,
    notification_id Nullable(UUID), claim_id Nullable(UUID), captured_at DateTime64(3, 'UTC')
) ENGINE = ReplacingMergeTree PARTITION BY toYYYYMM(occurred_at)
ORDER BY (site_id, metric, occurred_at, id);
CREATE TABLE hourly (
    site_id UUID, timestamp DateTime('UTC'), metric LowCardinality(String), value UInt64,
    version UInt64
) ENGINE = ReplacingMergeTree(version) PARTITION BY toYYYYMM(timestamp)
ORDER BY (site_id, metric, timestamp);
CREATE TABLE rolled_hours (timestamp DateTime('UTC'), closed Bool, version UInt64)
ENGINE = ReplacingMergeTree(version) ORDER BY timestamp
"""


@pytest.fixture
def client() -> Iterator[Client]:
    """A client of an empty database."""
    client = clickhouse_connect.get_client(dsn=settings().clickhouse_url)
    database = f"ddl_{uuid4().hex}"
    client.command(f"CREATE DATABASE {database}")
    client.database = database
    yield client
    client.command(f"DROP DATABASE {database}")
    client.close()


def upgrade(client: Client, raw_retention_days: int = 365) -> None:
    clickhouse.upgrade(
        client,
        database=str(client.database),
        cluster="",
        raw_retention_days=raw_retention_days,
    )


def shapes(client: Client) -> dict[str, str]:
    """The CREATE statement of each table, as the engine writes it."""
    result = client.query(
        "SELECT name, create_table_query FROM system.tables"
        " WHERE database = currentDatabase() ORDER BY name"
    )
    return {name: query.replace(str(client.database), "db") for name, query in result.result_rows}


def cluster_statements() -> list[str]:
    return clickhouse.statements(cluster="shop's", raw_retention_days=365)


def test_a_second_upgrade_changes_nothing(client: Client) -> None:
    upgrade(client)
    once = shapes(client)

    upgrade(client)

    assert list(once) == TABLES
    assert shapes(client) == once


def test_the_retention_of_raw_events_can_change(client: Client) -> None:
    upgrade(client)
    upgrade(client, raw_retention_days=100)

    assert "TTL toDateTime(occurred_at, 'UTC') + toIntervalDay(107)" in shapes(client)["raw_events"]


def test_tables_of_the_first_version_are_upgraded_and_recounted(
    client: Client,
) -> None:
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0, tzinfo=None)
    earlier = hour - timedelta(hours=1)
    for statement in FIRST_TABLES.split(";"):
        client.command(statement)
    row = [uuid4(), "shown", earlier, uuid4(), uuid4(), None, earlier]
    client.insert("raw_events", [row])
    client.insert("rolled_hours", [[earlier, True, 7], [hour, False, 8]])

    upgrade(client)

    assert list(shapes(client)) == TABLES
    kept = client.query("SELECT site_id, page, amount_minor, variant_id FROM raw_events FINAL")
    assert kept.result_rows == [(row[0], "", 0, None)]
    states = "SELECT timestamp, closed FROM rolled_hours FINAL ORDER BY timestamp"
    assert client.query(states).result_rows == [(earlier, False), (hour, False)]
    client.command(
        "INSERT INTO rolled_hours SELECT timestamp, true, version + 1 FROM rolled_hours FINAL"
    )
    upgrade(client)  # the old rollups no longer exist: no hour is reopened
    assert client.query(states).result_rows == [(earlier, True), (hour, True)]


def test_upgraded_tables_equal_new_ones(client: Client) -> None:
    upgrade(client)
    new = shapes(client)
    for table in ("raw_events", "rolled_hours"):
        client.command(f"DROP TABLE {table}")
    for statement in FIRST_TABLES.split(";"):
        client.command(statement)

    upgrade(client)

    assert shapes(client) == new


def test_the_granularity_changes_and_events_are_kept(client: Client) -> None:
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0, tzinfo=None)
    upgrade(client)
    new = shapes(client)
    client.command("DROP TABLE raw_events")
    client.command(new["raw_events"].replace("db.", "").replace("= 1024", "= 8192"))
    rows = [
        [uuid4(), "shown", now - timedelta(days=days), uuid4(), now - timedelta(days=days)]
        for days in (0, 0, 40, 80)
    ]
    names = ["site_id", "metric", "occurred_at", "id", "captured_at"]
    for row in (*rows, rows[0]):
        client.insert("raw_events", [row], column_names=names)
    micros = int(datetime.now(UTC).timestamp() * 1e6)
    hours = [now - timedelta(hours=number) for number in range(3)]
    marks = [[hours[0], False, 1], [hours[1], True, micros], [hours[2], True, 2]]
    client.insert("rolled_hours", marks)

    upgrade(client)
    upgrade(client)

    assert shapes(client) == new
    kept = client.query("SELECT id, occurred_at FROM raw_events FINAL").result_rows
    assert set(map(tuple, kept)) == {(row[3], row[2]) for row in rows}
    assert len(kept) == len(rows)
    states = client.query("SELECT timestamp, closed FROM rolled_hours FINAL ORDER BY 1 DESC")
    # What was closed a moment ago may have missed events; what was closed long ago has not.
    assert states.result_rows == [(hours[0], False), (hours[1], False), (hours[2], True)]
    versions = client.query("SELECT version FROM rolled_hours FINAL ORDER BY timestamp DESC")
    assert versions.result_rows[0][0] > micros


def test_totals_are_filled_for_hours_rolled_without_them(client: Client) -> None:
    upgrade(client)
    for table in ("totals_of_hours", "hourly_totals"):
        client.command(f"DROP TABLE {table}")
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0, tzinfo=None)
    site_id, hours = uuid4(), [now - timedelta(hours=number) for number in range(3)]
    rows = [
        [site_id, hours[0], "shown", "", "", 3, 7],
        [site_id, hours[0], "shown", "page", "/hats", 2, 7],
        [site_id, hours[1], "shown", "", "", 5, 7],
    ]
    client.insert("hourly_counts", rows)
    client.insert("rolled_hours", [[hours[0], True, 7], [hours[1], True, 7], [hours[2], False, 8]])

    upgrade(client)
    client.insert("hourly_counts", [[site_id, hours[2], "shown", "", "", 1, 9]])
    upgrade(client)

    # Not FINAL: what is there is not copied once more.
    totals = client.query("SELECT * FROM hourly_totals ORDER BY timestamp DESC").result_rows
    assert totals == [
        (site_id, hours[0], "shown", 3, 7),
        (site_id, hours[1], "shown", 5, 7),
        (site_id, hours[2], "shown", 1, 9),
    ]
    # A rollup that is under way would have closed its hour with an older version than this.
    found = client.query("SELECT closed, version > 9 FROM rolled_hours FINAL ORDER BY timestamp")
    assert found.result_rows == [(False, 1), (True, 0), (True, 0)]


@pytest.mark.parametrize("statement", cluster_statements())
def test_the_engine_parses_the_ddl_of_a_cluster(client: Client, statement: str) -> None:
    assert client.command(f"EXPLAIN AST {statement}")


def test_a_cluster_has_one_shard_per_site_and_rollup_states_on_every_node() -> None:
    text = [" ".join(statement.split()) for statement in cluster_statements()]

    def engine(table: str) -> str:
        (made,) = (it for it in text if f"CREATE TABLE IF NOT EXISTS {table} ON CLUSTER" in it)
        return made.split(" ENGINE = ")[1].split(" PARTITION BY")[0].split(" ORDER BY")[0]

    sharded = "ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}'"
    everywhere = "ReplicatedReplacingMergeTree('/clickhouse/tables/all/{database}/{table}'"
    assert engine("raw_events_local") == f"{sharded}, '{{replica}}')"
    assert engine("hourly_counts_local") == f"{sharded}, '{{replica}}', version)"
    assert engine("hourly_totals_local") == f"{sharded}, '{{replica}}', version)"
    assert engine("daily_counts_local") == f"{sharded}, '{{replica}}', version)"
    assert engine("rolled_hours") == f"{everywhere}, '{{shard}}-{{replica}}', version)"
    assert engine("rolled_days") == f"{everywhere}, '{{shard}}-{{replica}}', version)"
    for table in ("raw_events", "hourly_counts", "hourly_totals", "daily_counts"):
        assert engine(table) == (
            f"Distributed(`shop's`, currentDatabase(), {table}_local, cityHash64(site_id))"
        )
    (view,) = (it for it in text if "MATERIALIZED VIEW" in it)
    assert "TO hourly_totals_local AS" in view
    assert "FROM hourly_counts_local WHERE" in view
    assert [it for it in text if it.startswith(("CREATE", "ALTER", "DROP"))] == [
        it for it in text if "ON CLUSTER `shop's`" in it
    ]
