"""Group commit: what arrives together is appended together.

A durable append costs one fsync whether it carries one record or hundreds, so under load a door's
throughput is that of its groups. A lone request goes at the end of the loop's turn that brought it;
while an append is under way others gather until they are worth one of their own, or it is done. Who
would gather behind a store that hangs is told that it is away.
"""

import asyncio
import logging
from bisect import bisect
from collections.abc import Sequence
from typing import Protocol

from subgraphs.kernel.streams.interface import Record, Streams

log = logging.getLogger(__name__)

MAX_GROUP = 500
"""Records of one append; one request is never split over two, so it is taken whole or not at all.
"""

WORTH_A_GROUP = 48
"""Records that go although an append is under way: what a group costs besides them is then less
than they do."""


MAX_WAITING = 20_000
"""Records: about a second's work, and some 50 MB. Who comes while more wait is told at once that
the store is away."""

_LOOKS = 4
"""How often within their time limit those who wait are looked at."""


class Waiting(Protocol):
    """A caller. It is called back: a future for each would cost more than its records do."""

    records: list[Record]
    since: float
    """Seconds of the loop's clock when it came."""

    def appended(self, outcome: Sequence[bool] | Exception) -> None:
        """Hear which of the records were new, or why none was taken."""


class GroupCommit:
    """`append_once` to one topic for many callers at a time.

    Args:
        seconds: how long a caller may wait for its append to begin.
    """

    def __init__(self, streams: Streams, topic: str, *, seconds: float) -> None:
        self._streams = streams
        self._topic = topic
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._waiting: list[Waiting] = []
        self._size = 0
        """Records of those who wait."""
        self._under_way: set[asyncio.Task[None]] = set()
        self._is_due = False
        self._watch: asyncio.TimerHandle | None = None
        """One for all who wait: a timer each would cost more than their records do."""

    def append_once(self, waiting: Waiting) -> None:
        """Append its records with whoever else is here by the end of the loop's turn."""
        if self._size > MAX_WAITING:
            _tell(waiting, TimeoutError(f"{self._size} records wait for the store"))
            return
        self._waiting.append(waiting)
        self._size += len(waiting.records)
        if not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._send)

    def _send(self) -> None:
        self._is_due = False
        while self._waiting and len(self._under_way) < self._streams.appends_at_once:
            if self._under_way and self._size < WORTH_A_GROUP:
                break
            # Begun in this order, the appends are written in this order: a key's records keep it.
            task = self._loop.create_task(self._append(self._next_group()))
            self._under_way.add(task)
            task.add_done_callback(self._is_done)
        if self._waiting and self._watch is None:
            self._watch = self._loop.call_later(self._seconds / _LOOKS, self._look)

    def _is_done(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._send()

    def _look(self) -> None:
        """Tell those who have waited for too long; they came first, so they stand in front."""
        self._watch = None
        limit = self._loop.time() - self._seconds
        count = bisect(self._waiting, limit, key=lambda waiting: waiting.since)
        late, self._waiting = self._waiting[:count], self._waiting[count:]
        self._size -= sum(len(waiting.records) for waiting in late)
        for waiting in late:
            _tell(waiting, TimeoutError(f"the store was not free for {self._seconds:g} s"))
        if self._waiting:
            self._watch = self._loop.call_later(self._seconds / _LOOKS, self._look)

    async def _append(self, group: list[Waiting]) -> None:
        records = [record for waiting in group for record in waiting.records]
        try:
            new = await self._streams.append_once(self._topic, records)
        except Exception as error:  # nobody knows what was taken: each sends again, ids decide
            for waiting in group:
                _tell(waiting, error)
            return
        start = 0
        for waiting in group:
            end = start + len(waiting.records)
            _tell(waiting, new[start:end])
            start = end

    def _next_group(self) -> list[Waiting]:
        size = 0
        for taken, waiting in enumerate(self._waiting):
            if taken and size + len(waiting.records) > MAX_GROUP:
                break
            size += len(waiting.records)
        else:
            taken = len(self._waiting)
        group, self._waiting = self._waiting[:taken], self._waiting[taken:]
        self._size -= size
        return group


def _tell(waiting: Waiting, outcome: Sequence[bool] | Exception) -> None:
    """One caller's fault must not shift or swallow what the next ones are told."""
    try:
        waiting.appended(outcome)
    except Exception:
        log.exception("a caller could not be told what became of its records")
