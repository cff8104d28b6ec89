"""The results of one distinct operation: a bounded replay buffer, shared by its subscribers.

A subscriber first reads the buffer at its own pace, then lives on the feed's fan-out, which writes
new results to all. One that starts before the buffer (a resume after a long time) reads from a
replay feed, one for each start cursor, until the buffer holds what follows. One that falls behind
the buffer later reads too slowly, and is ended.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

from router.subscriptions.cursors import Cursor
from router.subscriptions.documents import RequestRejected
from router.subscriptions.fan_out import FanOut, SlowSubscriber, Subscriber
from router.subscriptions.result_buffer import ResultBuffer
from router.subscriptions.subgraph_client import Result

__all__ = ["Feed", "SlowSubscriber", "Source"]

MAX_REPLAY_FEEDS = 20
"""Few suffice: after a failure, all former subscribers resume from the same last cursor."""

_JOIN_SECONDS = 1.0
"""How long a replaying subscriber waits for the buffer to receive the result it just got."""

Source = Callable[[Cursor], AsyncIterator[Result]]
"""Subscribes at the subgraph: yields the results after a cursor."""

GoLive = Callable[[int, Cursor], None]
"""Takes over a subscriber that has read all: its position, and the cursor it has results up to."""


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
        self._buffer = ResultBuffer(start)
        self._fan_out = FanOut(self._buffer)
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
        self, after: Cursor, *, resuming: bool = True, go_live: GoLive | None = None
    ) -> AsyncGenerator[list[Result]]:
        """Yields batches of the results after a cursor, each once and in order.

        Args:
            resuming: False for a new subscriber, with the present as its cursor. It starts at the
                buffer's end; results up to `after` that are still on their way are skipped.
            go_live: is called once the subscriber has read all, and ends the iteration. No result
                can arrive between the two.

        Raises:
            SlowSubscriber: results left the buffer before this subscriber read them.
            RequestRejected: the subgraph rejects the viewer, or no longer accepts it.
        """
        position = self._buffer.position_after(after) if resuming else self._buffer.end
        caught_up = not resuming
        while True:
            if position is not None and position < self._buffer.first:
                if caught_up and self._is_live:
                    raise SlowSubscriber
                position = None
            if position is None:
                async with aclosing(self._replay(after)) as batches:
                    async for batch in batches:
                        yield batch
                        after = batch[-1].cursor
                position = self._buffer.position_after(after)
            elif batch := self._buffer.batch_from(position):
                position += len(batch)
                self._advance_read(position)
                if unseen := [result for result in batch if result.cursor > after]:
                    after = unseen[-1].cursor
                    yield unseen
            else:
                caught_up = True
                if self._failure:
                    raise self._failure
                if go_live is not None:
                    go_live(position, after)
                    return
                await self._grown.wait()

    def attach(self, subscriber: Subscriber) -> None:
        """Writes new results to a subscriber; for `go_live`."""
        self._fan_out.attach(subscriber)

    def detach(self, subscriber: Subscriber) -> None:
        """Writes to a subscriber no more."""
        self._fan_out.detach(subscriber)

    def deliver(self, subscriber: Subscriber) -> None:
        """Writes to a live subscriber what it missed while its client was slow."""
        self._fan_out.deliver(subscriber)

    def end(self, reason: Exception) -> None:
        """Ends the subscription; subscribers get the reason after the buffered results."""
        self._task.cancel()
        self._fail(reason)
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
                if self._buffer.position_after(batch[-1].cursor) is not None:
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
        if cursor <= self._buffer.floor:
            return
        try:
            async with asyncio.timeout(_JOIN_SECONDS):
                while not self._failure and (self._buffer.last_cursor or (0, 0)) < cursor:
                    await self._grown.wait()
        except TimeoutError:
            return

    async def _run(self, start: Cursor) -> None:
        try:
            async for result in self._source(start):
                while (
                    not self._is_live
                    and self._buffer.is_full
                    and self._furthest_read < self._buffer.end
                ):
                    await self._was_read.wait()
                self._append(result)
        except Exception as error:  # raised by every subscriber's generator
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._failure = error
        self._notify_grown()
        self._fan_out.fail(error)

    def _append(self, result: Result) -> None:
        self._buffer.append(result)
        self._fan_out.schedule()
        self._notify_grown()

    def _advance_read(self, position: int) -> None:
        if position > self._furthest_read:
            self._furthest_read = position
            self._was_read.set()
            self._was_read = asyncio.Event()

    def _notify_grown(self) -> None:
        self._grown.set()
        self._grown = asyncio.Event()
