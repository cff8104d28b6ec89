"""The statements of analytics in ClickHouse.

A count is read from `hourly` where the hour is closed and from the raw events everywhere else. Raw
rows open their hour, a rollup closes it; the newer word counts, and both take their time from
ClickHouse's clock: the rollup before it reads, the opener after its rows are in.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from subgraphs.kernel import clickhouse

HOUR = timedelta(hours=1)

GRACE = timedelta(seconds=60)
"""How long after its end an hour is closed: what was under way at its end has opened it by then."""


class RawEvent(NamedTuple):
    """One thing that counts; a row of `raw_events`."""

    site_id: UUID
    metric: str
    occurred_at: datetime
    id: UUID
    notification_id: UUID | None
    claim_id: UUID | None
    captured_at: datetime


class Count(NamedTuple):
    """How often something happened at a site within the bucket that starts at `start`."""

    site_id: UUID
    start: datetime
    metric: str
    value: int


# Said here, or the client asks the server before every insert.
_RAW_TYPES = (
    "UUID",
    "LowCardinality(String)",
    "DateTime64(3, 'UTC')",
    "UUID",
    "Nullable(UUID)",
    "Nullable(UUID)",
    "DateTime64(3, 'UTC')",
)

_opened: set[datetime] = set()

_NOW = "toUnixTimestamp64Micro(now64(6))"

_OPEN = (
    f"INSERT INTO rolled_hours SELECT arrayJoin({{hours:Array(DateTime('UTC'))}}), false, {_NOW}"
)

_TO_ROLL = """
    SELECT timestamp FROM rolled_hours FINAL
    WHERE NOT closed AND timestamp + INTERVAL 1 HOUR + INTERVAL {grace:UInt32} SECOND <= now()
    ORDER BY timestamp
"""

_ROLL = """
    INSERT INTO hourly
    SELECT site_id, toStartOfHour(occurred_at, 'UTC'), metric, count(), {version:UInt64}
    FROM raw_events FINAL
    WHERE occurred_at >= {hour:DateTime('UTC')}
      AND occurred_at < {hour:DateTime('UTC')} + INTERVAL 1 HOUR
    GROUP BY ALL
"""

_CLOSE = "INSERT INTO rolled_hours VALUES ({hour:DateTime('UTC')}, true, {version:UInt64})"

_COUNTS = """
    WITH closed AS (
        SELECT timestamp FROM rolled_hours FINAL
        WHERE closed AND timestamp >= {start:DateTime('UTC')} AND timestamp < {end:DateTime('UTC')}
    )
    SELECT site_id, {bucket} AS bucket, metric, sum(value)
    FROM (
        SELECT site_id, timestamp, metric, value FROM hourly FINAL
        WHERE site_id IN {sites:Array(UUID)} AND timestamp IN closed
        UNION ALL
        SELECT site_id, toStartOfHour(occurred_at, 'UTC') AS timestamp, metric, count() AS value
        FROM raw_events FINAL
        WHERE site_id IN {sites:Array(UUID)}
          AND occurred_at >= {start:DateTime('UTC')} AND occurred_at < {end:DateTime('UTC')}
          AND toStartOfHour(occurred_at, 'UTC') NOT IN closed
        GROUP BY ALL
    )
    GROUP BY ALL
"""

BY_HOUR = _COUNTS.replace("{bucket}", "toStartOfHour(timestamp, 'UTC')")
BY_DAY = _COUNTS.replace("{bucket}", "toStartOfDay(timestamp, 'UTC')")


async def add(rows: Sequence[RawEvent]) -> None:
    """Write raw events and open their hours; repeated rows collapse."""
    if not rows:
        return
    client = await clickhouse.client()
    await client.insert(
        "raw_events", rows, column_names=RawEvent._fields, column_type_names=_RAW_TYPES
    )
    hours = {start_of_hour(row.occurred_at) for row in rows} - _still_open()
    if hours:
        await client.command(_OPEN, {"hours": sorted(hours)})
        _opened.update(hours)


def _still_open() -> set[datetime]:
    """Hours that this process has opened and no rollup can have closed: they are not over."""
    _opened.intersection_update({hour for hour in _opened if datetime.now(UTC) < hour + HOUR})
    return _opened


async def hours_to_roll() -> list[datetime]:
    """The hours that are over and not closed, oldest first."""
    client = await clickhouse.client()
    result = await client.query(_TO_ROLL, {"grace": int(GRACE.total_seconds())}, tz_mode="aware")
    return [hour for (hour,) in result.result_rows]


async def roll(hour: datetime) -> None:
    """Count an hour anew and close it; twice leaves the same numbers."""
    client = await clickhouse.client()
    version = (await client.query(f"SELECT {_NOW}")).result_rows[0][0]
    await client.command(_ROLL, {"hour": hour, "version": version})
    await client.command(_CLOSE, {"hour": hour, "version": version})


async def counts(
    statement: str, site_ids: Collection[UUID], start: datetime, end: datetime
) -> list[Count]:
    """Counts of many sites in one query.

    Args:
        statement: `BY_HOUR` or `BY_DAY`.
        start: at the start of a bucket, as is `end`, which is not counted.
    """
    client = await clickhouse.client()
    parameters = {"sites": list(site_ids), "start": start, "end": end}
    result = await client.query(statement, parameters, tz_mode="aware")
    return [Count(*row) for row in result.result_rows]


def start_of_hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
