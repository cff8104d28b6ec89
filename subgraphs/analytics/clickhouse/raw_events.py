"""Writes of raw events.

A count is read from the rollups for closed hours and from the raw events for open ones. An insert
opens the hours of its rows, and a rollup closes them (`rollups`). The newer version wins. Both
versions are times of ClickHouse's clock: a rollup takes its version before it reads, and an insert
takes its version after its rows are written.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

import msgspec
import structlog

from subgraphs.analytics.clickhouse.hours import HOUR, first_countable_hour, start_of_hour
from subgraphs.kernel.storage import clickhouse

NOW = "toUnixTimestamp64Micro(now64(6))"
"""The version that a write has now: microseconds since 1970."""

INSERT_SETTINGS = {"distributed_foreground_insert": 1}
"""In a cluster, an insert returns only after the rows have reached their shards."""


class RawEvent(NamedTuple):
    """One event that is counted; a row of `raw_events`."""

    site_id: UUID
    metric: str
    occurred_at: datetime
    id: UUID
    notification_id: UUID | None
    claim_id: UUID | None
    captured_at: datetime
    variant_id: UUID | None = None
    page: str = ""
    device: str = ""
    country: str = ""
    currency: str = ""
    amount_minor: int = 0
    """The revenue of a conversion, in the currency's minor unit."""


log = structlog.stdlib.get_logger(__name__)

# One microsecond more, so that a rollup which began in the same instant does not win.
_OPEN_HOURS = (
    f"INSERT INTO rolled_hours SELECT arrayJoin({{hours:Array(DateTime('UTC'))}}), false, {NOW} + 1"
)

_SETTINGS = {**INSERT_SETTINGS, "date_time_input_format": "best_effort"}
"""`best_effort` reads times in ISO 8601."""

_encoder = msgspec.json.Encoder()
_opened_hours: set[datetime] = set()


async def insert(rows: Sequence[RawEvent]) -> None:
    """Insert raw events and open their hours; ClickHouse collapses repeated rows.

    Events older than the retention of raw events are left out: their hours cannot be counted again.
    """
    first = first_countable_hour()
    countable = [row for row in rows if row.occurred_at >= first]
    if len(countable) < len(rows):
        log.warning("raw_events_too_old", count=len(rows) - len(countable))
    if not countable:
        return
    client = await clickhouse.client()
    # The driver's own insert builds columns in Python, which costs two microseconds more a row.
    await client.raw_insert(
        "raw_events",
        RawEvent._fields,
        _encoder.encode_lines(countable),
        fmt="JSONCompactEachRow",
        settings=_SETTINGS,
    )
    hours = _hours_of([row.occurred_at for row in countable]) - _still_open()
    if hours:
        await client.command(_OPEN_HOURS, {"hours": sorted(hours)})
        _opened_hours.update(hours)


def _hours_of(times: Sequence[datetime]) -> set[datetime]:
    first, last = start_of_hour(min(times)), start_of_hour(max(times))
    return {first} if first == last else {start_of_hour(time) for time in times}


def _still_open() -> set[datetime]:
    """The hours that this process opened and no rollup can have closed, as they are not over."""
    now = datetime.now(UTC)
    _opened_hours.intersection_update({hour for hour in _opened_hours if now < hour + HOUR})
    return _opened_hours
