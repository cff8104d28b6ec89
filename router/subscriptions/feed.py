"""The results of one distinct operation: a bounded replay buffer, shared by its subscribers.

Subscribers read one buffer of encoded results at their own pace, so that a subscriber costs a
position and no queue. One that starts before the buffer (a resume after a long time) reads from a
replay feed, one for each start cursor, until the buffer holds what follows. One that falls behind
the buffer later reads too slowly, and is ended.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from itertools import islice

from router.subscriptions.cursors import Cursor
from router.subscriptions.documents import RequestRejected
from router.subscriptions.subgraph_client import Result

BUFFER_RESULTS = 1_000
"""How many results a subscriber may fall behind before it is ended."""

BUFFER_BYTES = 4 * 1024 * 1024

MAX_REPLAY_FEEDS = 20
"""Few suffice: after a failure, all former subscribers resume from the same last cursor."""

_JOIN_SECONDS = 1.0
"""How long a replaying subscriber waits for the buffer to receive the result it just got."""

_BATCH_SIZE = 100
"""Results per batch: enough to save time, few enough to wait for the client's socket between."""


class SlowSubscriber(Exception):
    """The subscriber reads too slowly. It can resume with the last cursor it received."""


Source = Callable[[Cursor], AsyncIterator[Result]]
"""Subscribes at the subgraph: yields the results after a cursor."""


class Feed:
    """The results of one distinct operation.

    Args:
        source: subscribes at the subgraph.
        start: the cursor after which the feed begins.
        is_live: the results arrive as they happen, and a subscriber that falls behind is too slow.
            A replay feed (False) reads the past only as fast as its fastest subscriber; a slower
            one goes on in another replay feed.
        replay_feeds: the replay feeds of one live feed, shared by it and all of them.
    """

    def __init__(
        self,
        source: Source,
        start: Cursor,
        *,
        is_live: bool = True,
        replay_feeds: "list[Feed] | None" = None,
    ) -> None:
        self._source = source
        self._is_live = is_live
        self._buffer: deque[Result] = deque()
        self._bytes = 0
        self._first = 0
        """The position of the oldest buffered result, counted from the feed's start."""
        self._floor = start
        """The cursor before the oldest buffered result."""
        self._grown = asyncio.Event()
        self._furthest_read = 0
        """The position up to which the fastest subscriber has read."""
        self._was_read = asyncio.Event()
        self._failure: Exception | None = None
        self._replays: dict[Cursor, Feed] = {}
        """Replay feeds that begin before this buffer, by start cursor."""
        self._replay_subscribers = 0
        """Subscribers of this feed, if it is a replay feed."""
        self._replay_feeds = [] if replay_feeds is None else replay_feeds
        self._task = asyncio.create_task(self._run(start))

    @property
    def failed(self) -> bool:
        """Whether the subgraph's subscription has ended; the feed takes no new results."""
        return self._failure is not None

    async def subscribe(
        self, after: Cursor, *, resuming: bool = True
    ) -> AsyncGenerator[list[Result]]:
        """Yields batches of the results after a cursor, each once and in order.

        Args:
            resuming: False for a new subscriber, with the present as its cursor. It starts at the
                buffer's end; results up to `after` that are still on their way are skipped.

        Raises:
            SlowSubscriber: results left the buffer before this subscriber read them.
            RequestRejected: the subgraph rejects the viewer, or no longer accepts it.
        """
        position = self._position_after(after) if resuming else self._end
        caught_up = not resuming
        while True:
            if position is not None and position < self._first:
                if caught_up and self._is_live:
                    raise SlowSubscriber
                position = None
            if position is None:
                async with aclosing(self._replay(after)) as batches:
                    async for batch in batches:
                        yield batch
                        after = batch[-1].cursor
                position = self._position_after(after)
            elif batch := self._batch_from(position):
                position += len(batch)
                self._advance_read(position)
                if unseen := [result for result in batch if result.cursor > after]:
                    after = unseen[-1].cursor
                    yield unseen
            else:
                caught_up = True
                if self._failure:
                    raise self._failure
                await self._grown.wait()

    def end(self, reason: Exception) -> None:
        """Ends the subscription; subscribers get the reason after the buffered results."""
        self._task.cancel()
        self._failure = reason
        self._notify_grown()
        for replay in self._replays.values():
            replay.end(reason)

    def close(self) -> None:
        """Cancels the subscription at the subgraph; for feeds without subscribers."""
        self._task.cancel()
        for replay in self._replays.values():
            replay.close()

    async def _replay(self, after: Cursor) -> AsyncGenerator[list[Result]]:
        """Yields batches of a replay feed until the buffer holds what follows."""
        async with self._replay_feed(after) as feed, aclosing(feed.subscribe(after)) as batches:
            async for batch in batches:
                yield batch
                await self._wait_for(batch[-1].cursor)
                if self._position_after(batch[-1].cursor) is not None:
                    return

    @asynccontextmanager
    async def _replay_feed(self, after: Cursor) -> AsyncIterator["Feed"]:
        """Gives the replay feed of a start cursor; closes it with its last subscriber."""
        feed = self._replays.get(after)
        if feed is None or feed.failed:
            self._make_room()
            if self._failure:
                raise self._failure
            feed = Feed(self._source, after, is_live=False, replay_feeds=self._replay_feeds)
            self._replays[after] = feed
            self._replay_feeds.append(feed)
        feed._replay_subscribers += 1
        try:
            yield feed
        finally:
            feed._replay_subscribers -= 1
            if not feed._replay_subscribers:
                feed.close()
                if feed in self._replay_feeds:
                    self._replay_feeds.remove(feed)
                if self._replays.get(after) is feed:
                    del self._replays[after]

    def _make_room(self) -> None:
        """Ends the least used replay feed, of several the newest, if the limit is reached."""
        if len(self._replay_feeds) < MAX_REPLAY_FEEDS:
            return
        least_used = min(reversed(self._replay_feeds), key=lambda feed: feed._replay_subscribers)
        self._replay_feeds.remove(least_used)
        message = (
            f"More than {MAX_REPLAY_FEEDS} clients resume from different old cursors at once, so"
            " this subscription is ended; subscribe again in a few seconds."
        )
        least_used.end(RequestRejected.with_code(message, "RATE_LIMITED"))

    async def _wait_for(self, cursor: Cursor) -> None:
        """Waits until the buffer has a result that the subgraph sent to a replay feed first."""
        if cursor <= self._floor:
            return
        try:
            async with asyncio.timeout(_JOIN_SECONDS):
                while not self._failure and (not self._buffer or self._buffer[-1].cursor < cursor):
                    await self._grown.wait()
        except TimeoutError:
            return

    def _position_after(self, cursor: Cursor) -> int | None:
        """Returns the position of the result after a cursor; None if the buffer cannot tell.

        A result may be a list of events, and each connection to the subgraph cuts its own lists. A
        subscriber can therefore join the buffer only where one of its results ends.
        """
        if cursor == self._floor:
            return self._first
        ends = (n for n, result in enumerate(self._buffer, 1) if result.cursor == cursor)
        end = next(ends, None)
        return None if end is None else self._first + end

    def _batch_from(self, position: int) -> list[Result]:
        start = position - self._first
        return list(islice(self._buffer, start, start + _BATCH_SIZE))

    async def _run(self, start: Cursor) -> None:
        try:
            async for result in self._source(start):
                while not self._is_live and self._is_full and self._furthest_read < self._end:
                    await self._was_read.wait()
                self._append(result)
        except Exception as error:  # raised by every subscriber's generator
            self._failure = error
            self._notify_grown()

    def _append(self, result: Result) -> None:
        self._buffer.append(result)
        self._bytes += len(result.payload)
        while self._exceeds_limits and len(self._buffer) > 1:
            oldest = self._buffer.popleft()
            self._bytes -= len(oldest.payload)
            self._floor = oldest.cursor
            self._first += 1
        self._notify_grown()

    @property
    def _end(self) -> int:
        """The position of the next result."""
        return self._first + len(self._buffer)

    @property
    def _exceeds_limits(self) -> bool:
        return len(self._buffer) > BUFFER_RESULTS or self._bytes > BUFFER_BYTES

    @property
    def _is_full(self) -> bool:
        """Whether the buffer has no room for one more result of usual size."""
        return len(self._buffer) >= BUFFER_RESULTS or self._bytes >= BUFFER_BYTES

    def _advance_read(self, position: int) -> None:
        if position > self._furthest_read:
            self._furthest_read = position
            self._was_read.set()
            self._was_read = asyncio.Event()

    def _notify_grown(self) -> None:
        self._grown.set()
        self._grown = asyncio.Event()
