"""What one distinct operation answers: kept for a while, read by everyone who asked the same.

Followers read at their own pace from one ring of encoded answers, so a follower costs a position
and no queue. One who is behind the ring from the start (a resume from long ago) is served from the
owner directly until the ring has what comes next; one who falls behind it later does not read.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from itertools import islice

from router.live.cursors import Cursor
from router.live.upstream import Answer

RING_ANSWERS = 1_000
"""How far a follower may fall behind before it is let go."""

RING_BYTES = 4 * 1024 * 1024

_REACH_SECONDS = 1.0
"""How long one with a connection of their own waits to join the others at a claim."""

_AT_ONCE = 100
"""Answers handed over together: enough to be quick, few enough to stay in step with the socket."""


class TooSlow(Exception):
    """A follower does not read. It can come back with the last cursor it got."""


Source = Callable[[Cursor], AsyncIterator[Answer]]


class Feed:
    """The answers of one distinct operation.

    Args:
        source: asks the owner for the answers after a cursor.
        start: the cursor this feed begins after.
    """

    def __init__(self, source: Source, start: Cursor) -> None:
        self._source = source
        self._ring: deque[Answer] = deque()
        self._bytes = 0
        self._first = 0
        """The number of the oldest answer in the ring, counted from the feed's start."""
        self._floor = start
        """The cursor before the oldest answer: whoever is at it or after finds all that follows."""
        self._more = asyncio.Event()
        self._failure: Exception | None = None
        self._task = asyncio.create_task(self._run(start))

    @property
    def failed(self) -> bool:
        return self._failure is not None

    async def follow(self, after: Cursor, *, resuming: bool = True) -> AsyncIterator[list[Answer]]:
        """The answers after a cursor, in order, each once.

        Args:
            after: where the channel is now, for one who is not resuming. The feed may have begun
                long before and still be on its way there.

        Raises:
            TooSlow: the ring went by while this follower did not read.
            Refused: the owner will not answer, or no longer.
        """
        place = self._place(after) if resuming else self._first + len(self._ring)
        at_end = not resuming
        while True:
            if place is None:
                async for answer in self._source(after):
                    yield [answer]
                    after = answer.cursor
                    await self._reach(after)
                    if (place := self._place(after)) is not None:
                        break
                continue
            if place < self._first:
                if at_end:
                    raise TooSlow
                place = None
                continue
            if found := list(
                islice(self._ring, place - self._first, place - self._first + _AT_ONCE)
            ):
                place += len(found)
                if unseen := [answer for answer in found if answer.cursor > after]:
                    after = unseen[-1].cursor
                    yield unseen
                continue
            at_end = True
            if self._failure:
                raise self._failure
            await self._more.wait()

    def end(self, reason: Exception) -> None:
        """Ask no more; the followers get the reason once they have read what is there."""
        self._task.cancel()
        self._failure = reason
        self._wake()

    def close(self) -> None:
        self._task.cancel()

    async def _reach(self, cursor: Cursor) -> None:
        """Let the ring come as far, where the owner told one follower a moment earlier."""
        if cursor <= self._floor:
            return
        try:
            async with asyncio.timeout(_REACH_SECONDS):
                while not self._failure and (not self._ring or self._ring[-1].cursor < cursor):
                    await self._more.wait()
        except TimeoutError:
            return

    def _place(self, after: Cursor) -> int | None:
        """The number of the answer that follows a cursor; None where the ring cannot tell.

        An answer may be a list, cut differently for each who asks: one can go on in the ring only
        where one of its answers ends.
        """
        if after == self._floor:
            return self._first
        ends = (number for number, answer in enumerate(self._ring, 1) if answer.cursor == after)
        end = next(ends, None)
        return None if end is None else self._first + end

    async def _run(self, start: Cursor) -> None:
        try:
            async for answer in self._source(start):
                self._append(answer)
        except Exception as error:  # handed to every follower
            self._failure = error
            self._wake()

    def _append(self, answer: Answer) -> None:
        self._ring.append(answer)
        self._bytes += len(answer.payload)
        while len(self._ring) > RING_ANSWERS or (self._bytes > RING_BYTES and len(self._ring) > 1):
            oldest = self._ring.popleft()
            self._bytes -= len(oldest.payload)
            self._floor = oldest.cursor
            self._first += 1
        self._wake()

    def _wake(self) -> None:
        self._more.set()
        self._more = asyncio.Event()
