"""Rollups: the counts of each hour once it is over, and of each day made from its hours.

Queries choose rows by version. A rollup writes its rows under a new version and then records that
this version counts. Merges may remove rows of an older version as soon as newer rows exist, so the
hour is open, and counted from its raw events, from before the first new row until after the last.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta

from subgraphs.analytics.clickhouse.hours import HOUR, first_countable_hour
from subgraphs.analytics.clickhouse.metrics import Dimension
from subgraphs.analytics.clickhouse.open_hours import STATE_OF_DAY
from subgraphs.analytics.clickhouse.raw_counts import raw_counts
from subgraphs.analytics.clickhouse.raw_events import INSERT_SETTINGS, NOW
from subgraphs.kernel.config import settings
from subgraphs.kernel.storage import clickhouse

GRACE = timedelta(seconds=60)
"""How long after its end an hour is closed. Inserts in flight at its end have opened it by then."""

REPLICA_LAG = timedelta(seconds=60)
"""In a cluster, a rollup may read a replica that lacks the newest rows, so its version lies this
far back. An hour opened since then stays open for the next rollup."""

MAX_ROLLUP_DELAY = timedelta(days=5)
"""How long an hour may still be rolled up after it stops taking events. It is less than the
migrations' SLACK_DAYS, so all its raw events are still there."""

_HOURS_TO_ROLL = """
    SELECT timestamp FROM rolled_hours FINAL
    WHERE NOT closed AND timestamp + INTERVAL 1 HOUR + INTERVAL {grace:UInt32} SECOND <= now()
      AND timestamp >= {first:DateTime('UTC')}
    ORDER BY timestamp
"""

_ROLL = f"""
    INSERT INTO hourly_counts SELECT *, {{version:UInt64}} FROM ({
    raw_counts(
        (None, *Dimension),
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


async def hours_to_roll() -> list[datetime]:
    """The hours that are over and still open, oldest first, if their raw events are retained."""
    client = await clickhouse.client()
    parameters = {"grace": int(GRACE.total_seconds()), "first": _first_hour()}
    result = await client.query(_HOURS_TO_ROLL, parameters, tz_mode="aware")
    return [hour for (hour,) in result.result_rows]


async def roll(hours: Collection[datetime]) -> None:
    """Count hours again and close them. A repeated call leaves the same counts.

    Raises:
        ValueError: an hour is not over, so events may still be written to it; or it is so old that
            its raw events may have been deleted.
    """
    if not hours:
        return
    if max(hours) + HOUR + GRACE > datetime.now(UTC):
        raise ValueError(f"the hour of {max(hours).isoformat()} is not over yet")
    if min(hours) < _first_hour():
        raise ValueError(f"the raw events of {min(hours).isoformat()} may have been deleted")
    version = await _version()
    await _mark(hours, closed=False, version=version - 1)
    client = await clickhouse.client()
    parameters = {"first": min(hours), "last": max(hours), "hours": sorted(hours)}
    await client.command(_ROLL, parameters | {"version": version}, settings=INSERT_SETTINGS)
    await _mark(hours, closed=True, version=version)


async def days_to_roll() -> list[datetime]:
    """The days that are over, have closed hours only, and lack a rollup of these, oldest first."""
    client = await clickhouse.client()
    parameters = {"grace": int(GRACE.total_seconds())}
    result = await client.query(_DAYS_TO_ROLL, parameters, tz_mode="aware")
    return [day for (day,) in result.result_rows]


async def roll_day(day: datetime) -> None:
    """Sum the hours of a day again. Does nothing while one of them is open."""
    client = await clickhouse.client()
    found = await client.query(_HOURS_OF_DAY, {"day": day}, tz_mode="aware")
    ((state, hours, versions),) = found.result_rows
    if not state:
        return
    version = await _version()
    await _mark_day(day, 0, version - 1)
    parameters = {"day": day, "hours": hours, "versions": versions, "version": version}
    await client.command(_ROLL_DAY, parameters, settings=INSERT_SETTINGS)
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
    return first_countable_hour() - MAX_ROLLUP_DELAY
