"""The rules of analytics: which periods may be asked for, and how counts become a series."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import NamedTuple
from uuid import UUID

from subgraphs.analytics import store
from subgraphs.kernel.errors import BadUserInput

EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)
LATEST = datetime(2106, 1, 1, tzinfo=UTC)
"""What ClickHouse's DateTime holds, to the day."""


class Granularity(Enum):
    HOUR = "HOUR"
    DAY = "DAY"


_STEP = {Granularity.HOUR: timedelta(hours=1), Granularity.DAY: timedelta(days=1)}
_STORE_STEP = {Granularity.HOUR: store.Step.HOUR, Granularity.DAY: store.Step.DAY}

METRICS = ("orders", "published", "shown", "clicked", "dismissed")

MAX_DAYS = {Granularity.HOUR: 92, Granularity.DAY: 800}
"""A quarter by the hour, two years by the day: some two thousand points at most."""


class Period(NamedTuple):
    """Whole buckets of UTC, `end` not included."""

    start: datetime
    end: datetime
    granularity: Granularity

    def buckets(self) -> list[datetime]:
        step = _STEP[self.granularity]
        return [self.start + n * step for n in range((self.end - self.start) // step)]


class Series(NamedTuple):
    """How often each thing happened, in each bucket and in all."""

    points: dict[datetime, dict[str, int]]
    totals: dict[str, int]


def period(start: datetime, end: datetime, granularity: Granularity) -> Period:
    """The buckets that a range touches.

    Raises:
        BadUserInput: a time without an offset or out of bounds, an end that is not after the
            start, or too long a range.
    """
    if start.tzinfo is None or end.tzinfo is None:
        raise BadUserInput("`start` and `end` need an offset, like 2026-01-02T00:00:00Z.")
    if not EARLIEST <= start < end <= LATEST:
        raise BadUserInput("`end` must be after `start`, and both between 1970 and 2105.")
    first = _floor(start, granularity)
    last = _floor(end - timedelta(microseconds=1), granularity) + _STEP[granularity]
    longest = MAX_DAYS[granularity]
    if last - first > timedelta(days=longest):
        raise BadUserInput(f"By {granularity.value}, a range may span {longest} days.")
    return Period(first, last, granularity)


async def series(site_ids: Collection[UUID], asked: Period) -> Mapping[UUID, Series]:
    """The series of many sites in one query."""
    buckets = asked.buckets()
    found = {site_id: Series({bucket: {} for bucket in buckets}, {}) for site_id in site_ids}
    step = _STORE_STEP[asked.granularity]
    for count in await store.counts(site_ids, asked.start, asked.end, step=step, metrics=METRICS):
        points, totals = found[count.site_id]
        points[count.start][count.metric] = count.value
        totals[count.metric] = totals.get(count.metric, 0) + count.value
    return found


def _floor(moment: datetime, granularity: Granularity) -> datetime:
    hour = store.start_of_hour(moment)
    return hour if granularity is Granularity.HOUR else hour.replace(hour=0)
