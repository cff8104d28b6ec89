"""Which hours are open, while counts are read.

A count takes some hours from the raw events and all others from what was rolled. Whoever closes or
opens an hour meanwhile would have it counted twice, or not at all. So we look before and after, and
what was read in between counts only if both looks are alike: versions only grow, so nothing has
happened that was undone. The look after one query is the look before the next.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple, TypeVar

from subgraphs.kernel import clickhouse

T = TypeVar("T")


class _States(NamedTuple):
    """What the hours and days were when we looked."""

    opened: tuple[datetime, ...]
    others: tuple[int, ...]
    """Numbers that are others when one of the other hours, or days, has another version."""


_seen: dict[str, _States] = {}
"""The last look, by its statement."""


async def steady(look: str, read: Callable[[Sequence[datetime]], Awaitable[T]]) -> T:
    """What `read` has read, given the open hours, while none of them changed.

    It is asked again until this is so. An hour changes when a rollup begins with it or is through,
    and when the first event comes that is late: some times an hour, where a read takes moments.
    """
    before = _seen.get(look) or await _look(look)
    while True:
        found = await read(before.opened)
        after = _seen[look] = await _look(look)
        if after == before:
            return found
        before = after


async def _look(look: str) -> _States:
    client = await clickhouse.client()
    (opened, *others), *_ = (await client.query(look)).result_rows
    return _States(tuple(sorted(map(moment, opened))), tuple(others))


@lru_cache(maxsize=32_768)
def moment(seconds: int) -> datetime:
    """A moment of UTC, made once: each metric has the same hours, and so has the next query."""
    return datetime.fromtimestamp(seconds, UTC)
