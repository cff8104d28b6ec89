"""Group commit: what arrives while one append is under way shares the next.

A durable append costs one fsync whether it carries one record or hundreds, so under load a door's
throughput is that of its batches, and a lone request still goes at once.
"""

import asyncio
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from subgraphs.kernel.streams import Record, Streams

MAX_GROUP = 500
"""Records of one append; one request is never split over two, so it is taken whole or not at all.
"""


class _Waiting(NamedTuple):
    records: Sequence[Record]
    answer: asyncio.Future[list[bool]]


class GroupCommit:
    """`append_once` to one topic for many callers at a time."""

    def __init__(self, streams: Streams, topic: str) -> None:
        self._streams = streams
        self._topic = topic
        self._waiting: list[_Waiting] = []
        self._running: asyncio.Task[None] | None = None

    def append_once(self, records: Sequence[Record]) -> asyncio.Future[list[bool]]:
        """Append with whoever else is here by the loop's next turn; says which were new.

        A future and no coroutine: a task for each caller would cost as much as its record.
        """
        waiting = _Waiting(records, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return waiting.answer

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._append(self._next_group())
        finally:
            self._running = None

    async def _append(self, group: list[_Waiting]) -> None:
        records = [record for waiting in group for record in waiting.records]
        try:
            new = iter(await self._streams.append_once(self._topic, records))
        except Exception as error:  # each caller gets it, and none of their records was taken
            for waiting in group:
                if not waiting.answer.done():
                    waiting.answer.set_exception(error)
            return
        for waiting in group:
            mine = list(islice(new, len(waiting.records)))
            if not waiting.answer.done():  # a caller may have gone away meanwhile
                waiting.answer.set_result(mine)

    def _next_group(self) -> list[_Waiting]:
        size = 0
        for taken, waiting in enumerate(self._waiting):
            size += len(waiting.records)
            if taken and size > MAX_GROUP:
                break
        else:
            taken = len(self._waiting)
        group, self._waiting = self._waiting[:taken], self._waiting[taken:]
        return group
