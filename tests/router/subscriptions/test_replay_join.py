"""Subscribers that change from a replay feed to the shared feed, where results are lists.

A dashboard's result gathers the events of half a second, so two connections to one subgraph cut the
same events into different lists. A subscriber that changes over still gets every event once.
"""

import asyncio
from collections.abc import AsyncIterator

from hypothesis import given, settings
from hypothesis import strategies as st

from router.subscriptions.cursors import Cursor
from router.subscriptions.feed import Feed
from router.subscriptions.subgraph_client import Result


class ListSource:
    """A source of lists of events; each of its connections cuts them differently.

    Args:
        cuts: for each connection in turn, the lengths of its lists, repeated.
    """

    def __init__(self, *cuts: list[int]) -> None:
        self._cuts = list(cuts)
        self._events = 0
        self._connections = 0
        self._grown = asyncio.Event()

    def grow(self, count: int) -> None:
        self._events += count
        self._grown.set()
        self._grown = asyncio.Event()

    async def results(self, after: Cursor) -> AsyncIterator[Result]:
        cuts = self._cuts[self._connections % len(self._cuts)]
        self._connections += 1
        position, turn = after[0], 0
        while True:
            while position < self._events:
                end = min(position + cuts[turn % len(cuts)], self._events)
                events = range(position + 1, end + 1)
                yield Result((end, 0), b" ".join(str(event).encode() for event in events))
                position, turn = end, turn + 1
            await self._grown.wait()


async def settle() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def collect(feed: Feed, after: Cursor, into: list[int], last: int) -> None:
    async for batch in feed.subscribe(after):
        into += [int(event) for result in batch for event in result.payload.split()]
        if into[-1] >= last:
            return


async def test_a_cursor_within_a_list_repeats_nothing() -> None:
    """As after a gateway restart: the cursor is from a list that the new feed cuts differently."""
    source = ListSource([4], [1])
    source.grow(8)
    feed = Feed(source.results, (0, 0))
    await settle()
    seen: list[int] = []

    await asyncio.wait_for(collect(feed, (2, 0), seen, 8), 5)
    feed.close()

    assert seen == [3, 4, 5, 6, 7, 8]


cuts = st.lists(st.integers(1, 4), min_size=1, max_size=4)


@settings(max_examples=150, deadline=None)
@given(
    shared=cuts,
    private=cuts,
    before=st.integers(0, 12),
    start=st.integers(0, 12),
    after=st.integers(0, 12),
    growth=st.lists(st.integers(1, 6), min_size=1, max_size=6),
)
async def test_every_event_once_and_in_order_for_any_list_boundaries(
    shared: list[int],
    private: list[int],
    before: int,
    start: int,
    after: int,
    growth: list[int],
) -> None:
    source = ListSource(shared, private)
    source.grow(before)
    start, after = min(start, before), min(after, before)
    feed = Feed(source.results, (start, 0))
    total = before + sum(growth)
    seen: list[int] = []
    await settle()
    subscribing = asyncio.create_task(collect(feed, (after, 0), seen, total))
    try:
        for count in growth:
            await settle()
            source.grow(count)
        await asyncio.wait_for(subscribing, 5)
    finally:
        subscribing.cancel()
        feed.close()

    assert seen == list(range(after + 1, total + 1))
