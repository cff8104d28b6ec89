"""Group commit: what arrives while one append is under way shares the next.

A durable append costs one fsync whether it carries one record or hundreds, so under load a door's
throughput is that of its batches, and a lone request still goes at once.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from subgraphs.kernel.streams import Record, Streams

log = logging.getLogger(__name__)

MAX_GROUP = 500
"""Records of one append; one request is never split over two, so it is taken whole or not at all.
"""


class Waiting(Protocol):
    """A caller. It is called back: a future for each would cost more than its records do."""

    records: list[Record]

    def appended(self, outcome: Sequence[bool] | Exception) -> None:
        """Hear which of the records were new, or why none was taken."""


class GroupCommit:
    """`append_once` to one topic for many callers at a time."""

    def __init__(self, streams: Streams, topic: str) -> None:
        self._streams = streams
        self._topic = topic
        self._waiting: list[Waiting] = []
        self._running: asyncio.Task[None] | None = None

    def append_once(self, waiting: Waiting) -> None:
        """Append its records with whoever else is here by the loop's next turn."""
        self._waiting.append(waiting)
        if self._running is None:
            self._running = asyncio.create_task(self._run())

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._append(self._next_group())
        finally:
            self._running = None

    async def _append(self, group: list[Waiting]) -> None:
        records = [record for waiting in group for record in waiting.records]
        try:
            new = await self._streams.append_once(self._topic, records)
        except Exception as error:  # each caller gets it, and none of their records was taken
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
            size += len(waiting.records)
            if taken and size > MAX_GROUP:
                break
        else:
            taken = len(self._waiting)
        group, self._waiting = self._waiting[:taken], self._waiting[taken:]
        return group


def _tell(waiting: Waiting, outcome: Sequence[bool] | Exception) -> None:
    """One caller's fault must not shift or swallow what the next ones are told."""
    try:
        waiting.appended(outcome)
    except Exception:
        log.exception("a caller could not be told what became of its records")
