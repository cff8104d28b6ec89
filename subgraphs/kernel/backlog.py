"""Decides which sites to refuse while a queue is full: those that fill it, and no others.

An endpoint reads once a second how many entries of each partition wait. While a partition is full,
its sites whose recent share is average or above are refused. Refused entries count as well:
otherwise a refused site would look modest a second later.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence

import structlog

log = structlog.stdlib.get_logger(__name__)

CHECK_SECONDS = 1.0

_DECAY = 0.8
"""Factor on a site's count at each check, so that the last five seconds or so matter."""

_NEGLIGIBLE = 1.0
"""Entries; a site with a smaller count is removed."""


class Backlog:
    """Which sites fill which partition.

    Args:
        partition_of: the partition of a site.
        full: entries of a partition that wait when it is full.
    """

    def __init__(self, partition_of: Callable[[str], int], *, full: int) -> None:
        self._partition_of = partition_of
        self._full = full
        self._offered: dict[str, float] = {}
        self._refused: frozenset[str] = frozenset()

    def refuses(self, key: str, entries: int) -> bool:
        """Whether a site's entries are refused now; counts them."""
        self._offered[key] = self._offered.get(key, 0.0) + entries
        return key in self._refused

    def update(self, waiting: Sequence[int]) -> None:
        """Decide which sites are refused until the next check.

        Args:
            waiting: entries that wait, by partition.
        """
        full = {partition for partition, count in enumerate(waiting) if count >= self._full}
        by_partition: dict[int, dict[str, float]] = {partition: {} for partition in full}
        if full:
            for key, count in self._offered.items():
                if (partition := self._partition_of(key)) in full:
                    by_partition[partition][key] = count
        refused = frozenset().union(*map(_at_or_above_average, by_partition.values()))
        if refused - self._refused:
            log.warning("queue_full", partitions=sorted(full), refused_sites=len(refused))
        self._refused = refused
        decayed = {key: count * _DECAY for key, count in self._offered.items()}
        self._offered = {key: count for key, count in decayed.items() if count >= _NEGLIGIBLE}

    async def watch(self, read_waiting: Callable[[], Awaitable[Sequence[int]]]) -> None:
        """Update once a second until cancelled."""
        while True:
            try:
                self.update(await read_waiting())
            except Exception as error:  # any error: the next check may succeed
                log.warning("queue_length_unknown", error=repr(error))
            await asyncio.sleep(CHECK_SECONDS)


def _at_or_above_average(offered: dict[str, float]) -> Collection[str]:
    average = sum(offered.values()) / max(len(offered), 1)
    return [key for key, count in offered.items() if count >= average]
