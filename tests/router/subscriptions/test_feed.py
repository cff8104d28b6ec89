"""A feed gives every subscriber every result once and in order, from any cursor."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.subscriptions import feed as feed_module
from router.subscriptions import result_buffer
from router.subscriptions.cursors import Cursor
from router.subscriptions.documents import RequestRejected
from router.subscriptions.feed import Feed, SlowSubscriber
from router.subscriptions.subgraph_client import Result

BUFFER = 8


class GrowingSource:
    """A source that yields a growing log, and records its connections."""

    def __init__(self) -> None:
        self.log: list[Result] = []
        self.connected_after: list[Cursor] = []
        self.open = 0
        """Connections open now."""
        self._grown = asyncio.Event()

    def grow(self, count: int) -> None:
        for _ in range(count):
            number = len(self.log) + 1
            self.log.append(Result((number, 0), str(number).encode()))
        self._grown.set()
        self._grown = asyncio.Event()

    async def results(self, after: Cursor) -> AsyncIterator[Result]:
        self.connected_after.append(after)
        self.open += 1
        position = after[0]
        try:
            while True:
                while position < len(self.log):
                    position += 1
                    yield self.log[position - 1]
                await self._grown.wait()
        finally:
            self.open -= 1


@pytest.fixture(autouse=True)
def small_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(result_buffer, "BUFFER_RESULTS", BUFFER)


async def settle() -> None:
    """Lets every task run until it waits."""
    for _ in range(50):
        await asyncio.sleep(0)


async def collect(feed: Feed, after: Cursor | None, into: list[int], last: int) -> None:
    start = after or (0, 0)
    async for batch in feed.subscribe(start, resuming=after is not None):
        into += [result.cursor[0] for result in batch]
        if into[-1] >= last:
            return


async def test_two_subscribers_share_one_source() -> None:
    source = GrowingSource()
    one: list[int] = []
    two: list[int] = []
    feed = Feed(source.results, (0, 0))
    subscribing = [asyncio.create_task(collect(feed, None, seen, 5)) for seen in (one, two)]
    await settle()

    source.grow(5)
    await asyncio.gather(*subscribing)

    assert one == two == [1, 2, 3, 4, 5]
    assert source.connected_after == [(0, 0)]
    feed.close()


async def test_resuming_within_the_buffer_opens_no_source() -> None:
    source = GrowingSource()
    seen: list[int] = []
    feed = Feed(source.results, (0, 0))
    source.grow(6)
    await settle()

    await collect(feed, (3, 0), seen, 6)

    assert seen == [4, 5, 6]
    assert source.connected_after == [(0, 0)]
    feed.close()


async def test_resuming_before_the_buffer_replays_and_joins() -> None:
    source = GrowingSource()
    seen: list[int] = []
    source.grow(20)
    feed = Feed(source.results, (0, 0))
    await settle()

    subscribing = asyncio.create_task(collect(feed, (2, 0), seen, 25))
    await settle()
    source.grow(5)
    await subscribing

    assert seen == list(range(3, 26))
    assert source.connected_after == [(0, 0), (2, 0)]
    feed.close()


async def test_only_the_stalled_subscriber_is_ended() -> None:
    source = GrowingSource()
    seen: list[int] = []
    feed = Feed(source.results, (0, 0))
    stalled = feed.subscribe((0, 0), resuming=False)
    reading = asyncio.create_task(collect(feed, None, seen, 2 * BUFFER + 1))
    first = asyncio.ensure_future(anext(stalled))
    await settle()
    source.grow(1)
    assert [result.cursor for result in await first] == [(1, 0)]

    for _ in range(2 * BUFFER):
        source.grow(1)
        await settle()
    await reading

    assert seen == list(range(1, 2 * BUFFER + 2))
    with pytest.raises(SlowSubscriber):
        await anext(stalled)
    feed.close()


async def test_a_rejection_reaches_every_subscriber() -> None:
    async def rejecting(after: Cursor) -> AsyncIterator[Result]:
        raise RequestRejected.with_code("no longer yours", "NOT_FOUND")
        yield

    feed = Feed(rejecting, (0, 0))

    for _ in range(2):
        with pytest.raises(RequestRejected, match="no longer yours"):
            await anext(feed.subscribe((0, 0), resuming=False))
    assert feed.failed


async def test_an_ended_feed_raises_its_reason() -> None:
    source = GrowingSource()
    feed = Feed(source.results, (0, 0))
    subscribing = asyncio.ensure_future(anext(feed.subscribe((0, 0), resuming=False)))
    await settle()

    feed.end(RequestRejected.with_code("too many", "RATE_LIMITED"))

    with pytest.raises(RequestRejected, match="too many"):
        await subscribing
    assert feed.failed


async def test_the_newest_of_the_least_used_replay_feeds_is_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feed_module, "MAX_REPLAY_FEEDS", 2)
    source = GrowingSource()
    source.grow(5)
    feed = Feed(source.results, (9, 0))  # where no result ends: nobody before it can join
    seen: list[list[int]] = [[] for _ in range(4)]
    subscribing = []
    for after, into in zip((1, 1, 2, 3), seen, strict=True):
        subscribing.append(asyncio.create_task(collect(feed, (after, 0), into, 10)))
        await settle()

    with pytest.raises(RequestRejected, match="More than 2") as rejected:
        await subscribing.pop(2)
    await settle()
    assert source.open == 3
    source.grow(5)
    await asyncio.gather(*subscribing)
    await settle()

    assert rejected.value.errors[0]["extensions"] == {"code": "RATE_LIMITED"}
    whole = list(range(2, 11))
    assert seen == [whole, whole, [3, 4, 5], whole[2:]]
    assert source.connected_after == [(9, 0), (1, 0), (2, 0), (3, 0)]
    assert source.open == 1
    feed.close()


async def test_stalled_replays_do_not_exceed_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each subscriber finds that the previous one's replay feed has advanced too far to join."""
    monkeypatch.setattr(feed_module, "MAX_REPLAY_FEEDS", 2)
    source = GrowingSource()
    source.grow(2 * BUFFER)
    feed = Feed(source.results, (2 * BUFFER, 0))
    await settle()

    stalled = [feed.subscribe((0, 0)) for _ in range(4)]
    first = []
    for batches in stalled:
        first.append(asyncio.ensure_future(anext(batches)))
        await settle()

    assert [isinstance(it.exception(), RequestRejected) for it in first] == [
        False,
        False,
        True,
        False,
    ]
    assert source.open == 3
    for batches in stalled:
        await batches.aclose()
    feed.close()


async def test_an_ended_feed_ends_its_replay_feeds() -> None:
    source = GrowingSource()
    seen: list[int] = []
    source.grow(2)
    feed = Feed(source.results, (9, 0))
    subscribing = asyncio.create_task(collect(feed, (1, 0), seen, 9))
    await settle()
    assert (seen, source.open) == ([2], 2)

    feed.end(RequestRejected.with_code("too many", "RATE_LIMITED"))
    await settle()

    with pytest.raises(RequestRejected, match="too many"):
        await subscribing
    with pytest.raises(RequestRejected, match="too many"):
        await anext(feed.subscribe((0, 0)))
    assert source.open == 0


async def test_a_closed_feed_closes_its_sources() -> None:
    source = GrowingSource()
    feed = Feed(source.results, (9, 0))
    subscribing = asyncio.create_task(collect(feed, (1, 0), [], 9))
    await settle()
    assert source.open == 2

    feed.close()
    await settle()

    assert source.open == 0
    subscribing.cancel()


@settings(max_examples=150, deadline=None)
@given(
    before=st.integers(0, 3 * BUFFER),
    start=st.integers(0, 3 * BUFFER),
    after=st.integers(0, 3 * BUFFER),
    growth=st.lists(st.integers(1, BUFFER), max_size=6),
)
async def test_every_result_once_and_in_order_from_any_cursor(
    before: int, start: int, after: int, growth: list[int]
) -> None:
    source = GrowingSource()
    seen: list[int] = []
    source.grow(before)
    start, after = min(start, before), min(after, before)
    feed = Feed(source.results, (start, 0))
    total = before + sum(growth)
    subscribing = asyncio.create_task(collect(feed, (after, 0), seen, total))
    try:
        for count in growth:
            source.grow(count)
            await settle()
        if total > after:
            await asyncio.wait_for(subscribing, 5)
    finally:
        subscribing.cancel()
        feed.close()

    assert seen == list(range(after + 1, total + 1))
