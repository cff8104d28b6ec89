"""Changes the index granularity of the table of raw events.

ClickHouse cannot alter it. But parts can move to a table that differs in it alone: they keep their
granularity until a merge gives them the new one. Tables of a cluster are left alone, because after
an exchange their names would not match their paths in Keeper.
"""

from clickhouse_connect.driver import Client

_TABLE, _OTHER = "raw_events", "raw_events_anew"

# A rollup that reads between the exchange and the end misses the latest events. Its version is
# older than this one, so it closes no hour.
_OPEN_AGAIN = """
    INSERT INTO rolled_hours SELECT timestamp, false, toUnixTimestamp64Micro(now64(6))
    FROM rolled_hours FINAL
    WHERE NOT closed OR version >= toUnixTimestamp64Micro(now64(6) - INTERVAL 1 HOUR)
"""


def change_granularity(client: Client, granularity: int) -> None:
    """Change the granularity. Continues an interrupted attempt; does nothing if nothing is left."""
    wanted = f"index_granularity = {granularity}"
    current = _create_statement(client, _TABLE)
    if wanted not in current:
        client.command(f"DROP TABLE IF EXISTS {_OTHER}")
        head, _, _ = current.replace(f".{_TABLE}", f".{_OTHER}", 1).partition(" SETTINGS ")
        client.command(f"{head} SETTINGS {wanted}")
        _attach(client, source=_TABLE, target=_OTHER)
        client.command(f"EXCHANGE TABLES {_TABLE} AND {_OTHER}")
    if _create_statement(client, _OTHER):
        # Again, for events written until the exchange; repeated events collapse.
        _attach(client, source=_OTHER, target=_TABLE)
        client.command(_OPEN_AGAIN)
        client.command(f"DROP TABLE {_OTHER}")


def _create_statement(client: Client, table: str) -> str:
    """The CREATE statement of a table; empty if the table does not exist."""
    found = client.query(
        "SELECT create_table_query FROM system.tables"
        " WHERE database = currentDatabase() AND name = {table:String}",
        {"table": table},
    )
    return "".join(query for (query,) in found.result_rows)


def _attach(client: Client, *, source: str, target: str) -> None:
    partitions = client.query(
        "SELECT DISTINCT partition_id FROM system.parts"
        " WHERE active AND database = currentDatabase() AND table = {table:String}",
        {"table": source},
    )
    for (partition,) in partitions.result_rows:
        client.command(f"ALTER TABLE {target} ATTACH PARTITION ID '{partition}' FROM {source}")
