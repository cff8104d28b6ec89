"""Reads that no rollup changes while they run.

A count reads open hours from the raw events and closed hours from the rollups. If a write opens or
closes an hour in between, that hour would be counted twice or not at all. So the state of all hours
is read before and after the query, and the answer is used only if both states agree within its
range. Versions only grow, so equal states mean that nothing changed. The state after one query
serves as the state before the next one, whatever its range.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple, TypeVar

from subgraphs.kernel.errors import Unavailable
from subgraphs.kernel.storage import clickhouse

T = TypeVar("T")

MAX_ATTEMPTS = 5
"""Reads of one count. Without a limit, late events that open hour after hour would go on for ever.
"""

HOURS = """
    SELECT groupArray(toUInt32(timestamp)), groupArray(if(closed, version, 0))
    FROM rolled_hours FINAL
"""
"""All hours, and the version of each; 0 while it is open. Opening an open hour again, as each batch
of late events does, does not change this state."""

HOURS_AND_DAYS = f"""
    SELECT * FROM ({HOURS}) AS hours CROSS JOIN (
        SELECT groupArray(toUInt32(timestamp)), groupArray(cityHash64(hours, version))
        FROM rolled_days FINAL
    ) AS days
"""
"""The same with all days, and a hash of the state of each."""

STATE_OF_DAY = "if(min(closed), groupBitXor(cityHash64(timestamp, version)), 0)"
"""A hash of the versions of a day's hours; 0 while one of them is open."""


class _States(NamedTuple):
    """The states of hours and days, by the seconds since 1970 at which they start."""

    hours: dict[int, int]
    days: dict[int, int]

    def open_hours(self) -> list[datetime]:
        return sorted(from_seconds(hour) for hour, version in self.hours.items() if not version)

    def agrees(self, other: "_States", start: datetime, end: datetime) -> bool:
        """Whether both have the same states within a range."""
        if self == other:
            return True
        first, last = start.timestamp(), end.timestamp()
        hours = self.hours.items() ^ other.hours.items()
        days = self.days.items() ^ other.days.items()
        return not any(first <= seconds < last for seconds, _ in hours | days)


_last_states: dict[str, _States] = {}
"""The states that were read last, by statement."""


async def read_consistently(
    statement: str,
    start: datetime,
    end: datetime,
    read: Callable[[Sequence[datetime]], Awaitable[T]],
) -> T:
    """The result of `read`, called with the open hours, once no state in the range changed.

    An hour changes when a rollup begins and ends it, and when its first late event arrives: a few
    times an hour, while a read takes milliseconds.

    Args:
        statement: `HOURS` or `HOURS_AND_DAYS`, the states that the read depends on.

    Raises:
        Unavailable: the range changed during each of `MAX_ATTEMPTS` reads.
    """
    before = _last_states.get(statement) or await _read_states(statement)
    for _ in range(MAX_ATTEMPTS):
        result = await read(before.open_hours())
        after = _last_states[statement] = await _read_states(statement)
        if after.agrees(before, start, end):
            return result
        before = after
    raise Unavailable("The counts of this range are changing: try again in a few seconds.")


async def _read_states(statement: str) -> _States:
    client = await clickhouse.client()
    (hours, versions, *days), *_ = (await client.query(statement)).result_rows
    return _States(dict(zip(hours, versions, strict=True)), dict(zip(*days, strict=True)))


@lru_cache(maxsize=32_768)
def from_seconds(seconds: int) -> datetime:
    """A time in UTC, cached: all metrics of a query, and the next query, have the same hours."""
    return datetime.fromtimestamp(seconds, UTC)
