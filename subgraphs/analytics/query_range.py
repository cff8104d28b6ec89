"""The ranges of time that callers may query."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from subgraphs.analytics.clickhouse.hours import HOUR, start_of_hour
from subgraphs.analytics.clickhouse.metrics import Granularity
from subgraphs.kernel.errors import BadUserInput

EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)
LATEST = datetime(2106, 1, 1, tzinfo=UTC)
"""The range of ClickHouse's DateTime, in whole days. Near the years 1 and 9999, Python's datetime
cannot be converted to UTC."""

MAX_DAYS = {Granularity.HOUR: 92, Granularity.DAY: 800}
"""A quarter by the hour or two years by the day: about two thousand buckets."""

_BUCKET = {Granularity.HOUR: HOUR, Granularity.DAY: timedelta(days=1)}


class Period(NamedTuple):
    """Whole buckets in UTC; `end` is exclusive."""

    start: datetime
    end: datetime
    granularity: Granularity

    @property
    def length(self) -> int:
        """The number of buckets."""
        return (self.end - self.start) // _BUCKET[self.granularity]

    def buckets(self) -> list[datetime]:
        """The starts of the buckets, in order."""
        bucket = _BUCKET[self.granularity]
        return [self.start + n * bucket for n in range(self.length)]


class HourRange(NamedTuple):
    """Whole hours in UTC; `end` is exclusive."""

    start: datetime
    end: datetime


def period(start: datetime, end: datetime, granularity: Granularity) -> Period:
    """The buckets that overlap a range.

    Raises:
        BadUserInput: a time has no offset or is out of bounds, `end` is not after `start`, or the
            range is too long for the granularity.
    """
    check_range(start, end)
    first = _start_of_bucket(start, granularity)
    last = _start_of_bucket(end - timedelta(microseconds=1), granularity) + _BUCKET[granularity]
    max_days = MAX_DAYS[granularity]
    if last - first > timedelta(days=max_days):
        raise BadUserInput(
            f"`start` to `end` may span at most {max_days} days by {granularity.value}."
        )
    return Period(first, last, granularity)


def hour_range(start: datetime, end: datetime) -> HourRange:
    """The hours that overlap a range.

    Raises:
        BadUserInput: a time has no offset or is out of bounds, `end` is not after `start`, or the
            range is longer than any granularity allows.
    """
    check_range(start, end)
    max_days = max(MAX_DAYS.values())
    if end - start > timedelta(days=max_days):
        raise BadUserInput(f"`start` to `end` may span at most {max_days} days.")
    return HourRange(start_of_hour(start), start_of_hour(end - timedelta(microseconds=1)) + HOUR)


def hours_since(start: datetime) -> HourRange:
    """The hours from the one that contains `start` to the current one."""
    first = start_of_hour(start)
    return HourRange(first, max(start_of_hour(datetime.now(UTC)), first) + HOUR)


def check_time(time: datetime, name: str) -> None:
    """Check that the stores can be queried with a time.

    Args:
        name: The argument that holds the time, for the message.

    Raises:
        BadUserInput: the time has no offset or is out of bounds.
    """
    if time.tzinfo is None:
        raise BadUserInput(f"`{name}` needs an offset, like 2026-01-02T00:00:00Z.")
    if not EARLIEST <= time <= LATEST:
        raise BadUserInput(f"`{name}` must be between 1970 and 2105.")


def check_range(start: datetime, end: datetime) -> None:
    """Check that the stores can be queried with a range.

    Raises:
        BadUserInput: a time has no offset or is out of bounds, or `end` is not after `start`.
    """
    check_time(start, "start")
    check_time(end, "end")
    if end <= start:
        raise BadUserInput("`end` must be after `start`.")


def _start_of_bucket(time: datetime, granularity: Granularity) -> datetime:
    hour = start_of_hour(time)
    return hour if granularity is Granularity.HOUR else hour.replace(hour=0)
