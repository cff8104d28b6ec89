"""Which hours are open, while counts are read.

A count takes some hours from the raw events and all others from what was rolled. Whoever closes or
opens an hour meanwhile would have it counted twice, or not at all. So we look before and after, and
what was read in between counts only if both looks are alike within its range: versions only grow,
so nothing has happened that was undone. The look after one query is the look before the next,
whatever the range of that is.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple, TypeVar

from subgraphs.kernel.errors import Unavailable
from subgraphs.kernel.storage import clickhouse

T = TypeVar("T")

TRIES = 5
"""Reads of one count. Shops whose late events open hour after hour must not keep it going."""


class _States(NamedTuple):
    """What the hours and days were when we looked: numbers by the seconds at which they start."""

    hours: dict[int, int]
    days: dict[int, int]

    def opened(self) -> list[datetime]:
        return sorted(moment(hour) for hour, version in self.hours.items() if not version)

    def alike(self, other: "_States", start: datetime, end: datetime) -> bool:
        """Whether nothing within a range is another than it was."""
        if self == other:
            return True
        first, last = start.timestamp(), end.timestamp()
        hours = self.hours.items() ^ other.hours.items()
        days = self.days.items() ^ other.days.items()
        return not any(first <= seconds < last for seconds, _ in hours | days)


_seen: dict[str, _States] = {}
"""The last look, by its statement."""


async def steady(
    look: str,
    start: datetime,
    end: datetime,
    read: Callable[[Sequence[datetime]], Awaitable[T]],
) -> T:
    """What `read` has read of a range, given the open hours, while none of it changed.

    It is asked again until this is so. An hour changes when a rollup begins with it or is through,
    and when the first event comes that is late: some times an hour, where a read takes moments.

    Raises:
        Unavailable: it changed during each of some tries.
    """
    before = _seen.get(look) or await _look(look)
    for _ in range(TRIES):
        found = await read(before.opened())
        after = _seen[look] = await _look(look)
        if after.alike(before, start, end):
            return found
        before = after
    raise Unavailable("The numbers of this time change too fast just now: try again in a moment.")


async def _look(look: str) -> _States:
    client = await clickhouse.client()
    (hours, versions, *days), *_ = (await client.query(look)).result_rows
    return _States(dict(zip(hours, versions, strict=True)), dict(zip(*days, strict=True)))


@lru_cache(maxsize=32_768)
def moment(seconds: int) -> datetime:
    """A moment of UTC, made once: each metric has the same hours, and so has the next query."""
    return datetime.fromtimestamp(seconds, UTC)
