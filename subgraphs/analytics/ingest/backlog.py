"""Whom to refuse while the stream is full: those who fill it, and not the others.

Once a second the door asks how many entries of each partition wait for the worker. While a
partition is full, its sites that offered their fair share or more of what came lately are refused.
What is offered counts, taken or not: otherwise who is refused would look modest a second later.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence

log = logging.getLogger(__name__)

FULL = 200_000
"""Entries of one partition: what a worker needs some ten seconds for, and with all partitions full
still below 2 GB of the store's memory."""

LOOK_SECONDS = 1.0

_KEPT = 0.8
"""Of a site's count from one look to the next: what came in the last five seconds or so matters."""

_FORGOTTEN = 1.0
"""Events; a site's count below that goes."""


class Backlog:
    """Who fills which partition."""

    def __init__(self, partition_of: Callable[[str], int]) -> None:
        self._partition_of = partition_of
        self._offered: dict[str, float] = {}
        self._refused: frozenset[str] = frozenset()

    def refuses(self, key: str, events: int) -> bool:
        """Whether a site has to wait; counts what it offers."""
        self._offered[key] = self._offered.get(key, 0.0) + events
        return key in self._refused

    def judge(self, waiting: Sequence[int]) -> None:
        """Say who is refused until the next look.

        Args:
            waiting: entries that wait for the worker, by partition.
        """
        full = {partition for partition, count in enumerate(waiting) if count >= FULL}
        by_partition: dict[int, dict[str, float]] = {partition: {} for partition in full}
        if full:
            for key, count in self._offered.items():
                if (partition := self._partition_of(key)) in full:
                    by_partition[partition][key] = count
        refused = frozenset().union(*map(_at_their_share, by_partition.values()))
        if refused - self._refused:
            log.warning("partitions %s are full, %d sites wait", sorted(full), len(refused))
        self._refused = refused
        faded = {key: count * _KEPT for key, count in self._offered.items()}
        self._offered = {key: count for key, count in faded.items() if count >= _FORGOTTEN}

    async def watch(self, look: Callable[[], Awaitable[Sequence[int]]]) -> None:
        """Judge once a second, for ever."""
        while True:
            try:
                self.judge(await look())
            except Exception as error:  # whatever it is, the next look may tell
                log.warning("how long the stream is cannot be told: %r", error)
            await asyncio.sleep(LOOK_SECONDS)


def _at_their_share(offered: dict[str, float]) -> Collection[str]:
    share = sum(offered.values()) / max(len(offered), 1)
    return [key for key, count in offered.items() if count >= share]
