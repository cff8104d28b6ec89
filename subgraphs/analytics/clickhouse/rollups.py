"""Rollups: hours counted once they are over, and days made of them.

What is read is chosen by version: a rollup writes its rows under a new one and then says that it is
this version that counts. Merging may take rows of an older version away as soon as newer ones are
there, so the hour is open, and read raw, from before the first new row until after the last.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta

from subgraphs.analytics.clickhouse import store
from subgraphs.analytics.clickhouse.statements import (
    NOW,
    STATE_OF_DAY,
    WRITING,
    Dimension,
    raw_counts,
)
from subgraphs.kernel.config import settings
from subgraphs.kernel.storage import clickhouse

GRACE = timedelta(seconds=60)
"""How long after its end an hour is closed: what was under way at its end has opened it by then."""

REPLICA_LAG = timedelta(seconds=60)
"""In a cluster, a rollup vouches only for what was written so long ago: the replica it reads from
may not have the rest. An hour opened since stays open, for the next rollup."""

LAST_CALL = timedelta(days=5)
"""How long after an hour no longer takes events it may still be rolled. Less than the migrations'
SLACK_DAYS, so that all its raw events are there."""

_PARTITIONED = ("daily_counts", "hourly_counts", "hourly_totals", "raw_events")
"""Tables with a partition a month or a year, named by its digits."""

_UNSETTLED = """
    SELECT table, partition_id FROM system.parts
    WHERE active AND database = currentDatabase() AND table IN {tables:Array(String)}
      AND partition_id < left(toString(toYYYYMM(now() - INTERVAL 1 DAY)), length(partition_id))
    GROUP BY table, partition_id HAVING count() > 1
    ORDER BY table, partition_id
"""

_TO_ROLL = """
    SELECT timestamp FROM rolled_hours FINAL
    WHERE NOT closed AND timestamp + INTERVAL 1 HOUR + INTERVAL {grace:UInt32} SECOND <= now()
      AND timestamp >= {first:DateTime('UTC')}
    ORDER BY timestamp
"""

_ROLL = f"""
    INSERT INTO hourly_counts SELECT *, {{version:UInt64}} FROM ({
    raw_counts(
        list(Dimension),
        '''
        occurred_at >= {first:DateTime('UTC')}
        AND occurred_at < {last:DateTime('UTC')} + INTERVAL 1 HOUR
        AND toStartOfHour(occurred_at, 'UTC') IN {hours:Array(DateTime('UTC'))}
        ''',
    )
})
"""

_MARK = """
    INSERT INTO rolled_hours
    SELECT arrayJoin({hours:Array(DateTime('UTC'))}), {closed:Bool}, {version:UInt64}
"""

_DAYS_TO_ROLL = f"""
    SELECT day FROM (
        SELECT toStartOfDay(timestamp, 'UTC') AS day, {STATE_OF_DAY} AS hours
        FROM rolled_hours FINAL GROUP BY day
    )
    WHERE hours != 0 AND day + INTERVAL 1 DAY + INTERVAL {{grace:UInt32}} SECOND <= now()
      AND (day, hours) NOT IN (SELECT timestamp, hours FROM rolled_days FINAL)
    ORDER BY day
"""

_HOURS_OF_DAY = f"""
    SELECT {STATE_OF_DAY}, groupArray(timestamp), groupArray(version) FROM rolled_hours FINAL
    WHERE toStartOfDay(timestamp, 'UTC') = {{day:DateTime('UTC')}}
"""

_ROLL_DAY = """
    INSERT INTO daily_counts
    SELECT site_id, {day:DateTime('UTC')}, metric, dimension, key, sum(value), {version:UInt64}
    FROM (
        SELECT site_id, timestamp, metric, dimension, key, any(value) AS value
        FROM hourly_counts
        WHERE timestamp >= {day:DateTime('UTC')}
          AND timestamp < {day:DateTime('UTC')} + INTERVAL 1 DAY
          AND (timestamp, version) IN (
              SELECT arrayJoin(arrayZip(
                  {hours:Array(DateTime('UTC'))}, {versions:Array(UInt64)}
              ))
          )
        GROUP BY ALL
    )
    GROUP BY ALL
"""

_MARK_DAY = """
    INSERT INTO rolled_days SELECT {day:DateTime('UTC')}, {state:UInt64}, {version:UInt64}
"""


async def settle() -> int:
    """Merge what stands in several parts of a time that is over; how many such times there were.

    A query opens every part, and ClickHouse by itself leaves a finished month in a handful.
    """
    client = await clickhouse.client()
    cluster = settings().clickhouse_cluster
    tables = [f"{table}_local" if cluster else table for table in _PARTITIONED]
    found = (await client.query(_UNSETTLED, {"tables": tables})).result_rows
    for table, partition in found:
        on_cluster = " ON CLUSTER {cluster:Identifier}" if cluster else ""
        statement = (
            f"OPTIMIZE TABLE {{table:Identifier}}{on_cluster} PARTITION ID {{id:String}} FINAL"
        )
        await client.command(statement, {"table": table, "id": partition, "cluster": cluster})
    return len(found)


async def hours_to_roll() -> list[datetime]:
    """The hours that are over and open, oldest first; none that has lost raw events to age."""
    client = await clickhouse.client()
    parameters = {"grace": int(GRACE.total_seconds()), "first": _first_hour()}
    result = await client.query(_TO_ROLL, parameters, tz_mode="aware")
    return [hour for (hour,) in result.result_rows]


async def roll(hours: Collection[datetime]) -> None:
    """Count hours anew and close them; twice leaves the same numbers.

    Raises:
        ValueError: an hour is not over, and would be closed while it is still being written to; or
            it is so old that its raw events may be gone.
    """
    if not hours:
        return
    if max(hours) + store.HOUR + GRACE > datetime.now(UTC):
        raise ValueError(f"the hour of {max(hours).isoformat()} is not over")
    if min(hours) < _first_hour():
        raise ValueError(f"the events of {min(hours).isoformat()} are no longer all there")
    version = await _version()
    await _mark(hours, closed=False, version=version - 1)
    client = await clickhouse.client()
    parameters = {"first": min(hours), "last": max(hours), "hours": sorted(hours)}
    await client.command(_ROLL, parameters | {"version": version}, settings=WRITING)
    await _mark(hours, closed=True, version=version)


async def days_to_roll() -> list[datetime]:
    """The days that are over, whose hours are all closed, and that are not made of these."""
    client = await clickhouse.client()
    parameters = {"grace": int(GRACE.total_seconds())}
    result = await client.query(_DAYS_TO_ROLL, parameters, tz_mode="aware")
    return [day for (day,) in result.result_rows]


async def roll_day(day: datetime) -> None:
    """Add a day's hours up anew; nothing, while one of them is open."""
    client = await clickhouse.client()
    found = await client.query(_HOURS_OF_DAY, {"day": day}, tz_mode="aware")
    ((state, hours, versions),) = found.result_rows
    if not state:
        return
    version = await _version()
    await _mark_day(day, 0, version - 1)
    parameters = {"day": day, "hours": hours, "versions": versions, "version": version}
    await client.command(_ROLL_DAY, parameters, settings=WRITING)
    await _mark_day(day, state, version)


async def _mark(hours: Collection[datetime], *, closed: bool, version: int) -> None:
    client = await clickhouse.client()
    parameters = {"hours": sorted(hours), "closed": closed, "version": version}
    await client.command(_MARK, parameters)


async def _mark_day(day: datetime, state: int, version: int) -> None:
    client = await clickhouse.client()
    await client.command(_MARK_DAY, {"day": day, "state": state, "version": version})


async def _version() -> int:
    client = await clickhouse.client()
    now: Sequence[int] = (await client.query(f"SELECT {NOW}")).result_rows[0]
    lag = REPLICA_LAG if settings().clickhouse_cluster else timedelta()
    return now[0] - lag // timedelta(microseconds=1)


def _first_hour() -> datetime:
    return store.first_countable_hour() - LAST_CALL
