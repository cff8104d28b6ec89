"""What one distinct operation answers: kept for a while, read by everyone who asked the same.

Followers read at their own pace from one ring of encoded answers, so a follower costs a position
and no queue. Those who are behind the ring from the start (a resume from long ago) are served by a
feed of their own, one for each cursor, until the ring has what comes next; one who falls behind it
later does not read.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from itertools import islice

from router.subscriptions.cursors import Cursor
from router.subscriptions.documents import Refused
from router.subscriptions.upstream import Answer

RING_ANSWERS = 1_000
"""How far a follower may fall behind before it is let go."""

RING_BYTES = 4 * 1024 * 1024

MAX_EARLIER = 20
"""Feeds of their own for those who resume from before the ring. After a break they are few: all who
were there have the cursor of the same last answer."""

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
        is_live: what comes, comes as it happens, so one who falls behind does not read. What is
            past comes as fast as the first of its followers reads, and one who falls behind the
            others goes on from where they are.
        family: the feeds that begin before the ring of one that is live, or of each other.
    """

    def __init__(
        self,
        source: Source,
        start: Cursor,
        *,
        is_live: bool = True,
        family: "list[Feed] | None" = None,
    ) -> None:
        self._source = source
        self._is_live = is_live
        self._ring: deque[Answer] = deque()
        self._bytes = 0
        self._first = 0
        """The number of the oldest answer in the ring, counted from the feed's start."""
        self._floor = start
        """The cursor before the oldest answer: whoever is at it or after finds all that follows."""
        self._more = asyncio.Event()
        self._furthest = 0
        """The number up to which some follower has read."""
        self._read = asyncio.Event()
        self._failure: Exception | None = None
        self._earlier: dict[Cursor, Feed] = {}
        """Feeds that begin before the ring, by where."""
        self._followers = 0
        """How many follow this one as such a feed."""
        self._family = [] if family is None else family
        self._task = asyncio.create_task(self._run(start))

    @property
    def failed(self) -> bool:
        return self._failure is not None

    async def follow(self, after: Cursor, *, resuming: bool = True) -> AsyncGenerator[list[Answer]]:
        """The answers after a cursor, in order, each once.

        Args:
            after: where the channel is now, for one who is not resuming. The feed may have begun
                long before and still be on its way there.

        Raises:
            TooSlow: the ring went by while this follower did not read.
            Refused: the owner will not answer, or no longer.
        """
        place = self._place(after) if resuming else self._end
        at_end = not resuming
        while True:
            if place is None:
                async with self._from(after) as earlier, aclosing(earlier.follow(after)) as lists:
                    async for answers in lists:
                        yield answers
                        after = answers[-1].cursor
                        await self._reach(after)
                        if (place := self._place(after)) is not None:
                            break
                continue
            if place < self._first:
                if at_end and self._is_live:
                    raise TooSlow
                place = None
                continue
            if found := list(
                islice(self._ring, place - self._first, place - self._first + _AT_ONCE)
            ):
                place += len(found)
                self._has_read(place)
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
        for earlier in self._earlier.values():
            earlier.end(reason)

    def close(self) -> None:
        self._task.cancel()
        for earlier in self._earlier.values():
            earlier.close()

    @asynccontextmanager
    async def _from(self, after: Cursor) -> AsyncIterator["Feed"]:
        """The feed of all who go on from a cursor that the ring does not have."""
        feed = self._earlier.get(after)
        if feed is None or feed.failed:
            self._make_room()
            if self._failure:
                raise self._failure
            feed = Feed(self._source, after, is_live=False, family=self._family)
            self._earlier[after] = feed
            self._family.append(feed)
        feed._followers += 1
        try:
            yield feed
        finally:
            feed._followers -= 1
            if not feed._followers:
                feed.close()
                if feed in self._family:
                    self._family.remove(feed)
                if self._earlier.get(after) is feed:
                    del self._earlier[after]

    def _make_room(self) -> None:
        """End the least followed feed of a family that is full, of several the newest."""
        if len(self._family) < MAX_EARLIER:
            return
        least = min(reversed(self._family), key=lambda feed: feed._followers)
        self._family.remove(least)
        message = f"More than {MAX_EARLIER} resume from long ago at once; this one had to end."
        least.end(Refused.because(message, "RATE_LIMITED"))

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
                while not self._is_live and not self._has_room and self._furthest < self._end:
                    await self._read.wait()
                self._append(answer)
        except Exception as error:  # handed to every follower
            self._failure = error
            self._wake()

    def _append(self, answer: Answer) -> None:
        self._ring.append(answer)
        self._bytes += len(answer.payload)
        while self._is_full and len(self._ring) > 1:
            oldest = self._ring.popleft()
            self._bytes -= len(oldest.payload)
            self._floor = oldest.cursor
            self._first += 1
        self._wake()

    @property
    def _end(self) -> int:
        """The number of the next answer."""
        return self._first + len(self._ring)

    @property
    def _is_full(self) -> bool:
        return len(self._ring) > RING_ANSWERS or self._bytes > RING_BYTES

    @property
    def _has_room(self) -> bool:
        """For one more of usual size."""
        return len(self._ring) < RING_ANSWERS and self._bytes < RING_BYTES

    def _has_read(self, place: int) -> None:
        if place > self._furthest:
            self._furthest = place
            self._read.set()
            self._read = asyncio.Event()

    def _wake(self) -> None:
        self._more.set()
        self._more = asyncio.Event()
