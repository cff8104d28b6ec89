"""Raw events whose table was made with another granularity get ours.

It cannot be altered. But parts may move between tables that differ in it alone; they keep theirs
and get the new one as they are merged. In a cluster, tables keep what they were made with:
exchanged names would no longer agree with the paths in Keeper.
"""

from clickhouse_connect.driver import Client

_TABLE, _OTHER = "raw_events", "raw_events_anew"

# A rollup that reads between the exchange and the end has missed what was just written. Its version
# is older than this, so it closes nothing.
_OPEN_AGAIN = """
    INSERT INTO rolled_hours SELECT timestamp, false, toUnixTimestamp64Micro(now64(6))
    FROM rolled_hours FINAL
    WHERE NOT closed OR version >= toUnixTimestamp64Micro(now64(6) - INTERVAL 1 HOUR)
"""


def renew(client: Client, granularity: int) -> None:
    """Go on wherever an earlier try ended; do nothing where all is done."""
    wanted = f"index_granularity = {granularity}"
    made = _made(client, _TABLE)
    if wanted not in made:
        client.command(f"DROP TABLE IF EXISTS {_OTHER}")
        head, _, _ = made.replace(f".{_TABLE}", f".{_OTHER}", 1).partition(" SETTINGS ")
        client.command(f"{head} SETTINGS {wanted}")
        _attach(client, source=_TABLE, target=_OTHER)
        client.command(f"EXCHANGE TABLES {_TABLE} AND {_OTHER}")
    if _made(client, _OTHER):
        # Again, for what was written until the exchange; repeated events collapse.
        _attach(client, source=_OTHER, target=_TABLE)
        client.command(_OPEN_AGAIN)
        client.command(f"DROP TABLE {_OTHER}")


def _made(client: Client, table: str) -> str:
    """The statement that would make this table again; empty if it is not there."""
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
