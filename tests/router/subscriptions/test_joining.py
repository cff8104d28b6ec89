"""Followers that change from a connection of their own to the shared one, where answers are lists.

A dashboard's answers gather what came within half a second, so two connections to the same owner
cut the same events into different lists. Whoever changes over gets every event once all the same.
"""

import asyncio
from collections.abc import AsyncIterator

from hypothesis import given, settings
from hypothesis import strategies as st

from router.subscriptions.cursors import Cursor
from router.subscriptions.feed import Feed
from router.subscriptions.upstream import Answer


class Gathering:
    """An owner that answers with lists of events; each question has a way of its own to cut them.

    Args:
        cuts: for each question in turn, how long its lists are, over and over.
    """

    def __init__(self, *cuts: list[int]) -> None:
        self._cuts = list(cuts)
        self._events = 0
        self._asked = 0
        self._grown = asyncio.Event()

    def grow(self, count: int) -> None:
        self._events += count
        self._grown.set()
        self._grown = asyncio.Event()

    async def answers(self, after: Cursor) -> AsyncIterator[Answer]:
        cuts = self._cuts[self._asked % len(self._cuts)]
        self._asked += 1
        place, turn = after[0], 0
        while True:
            while place < self._events:
                end = min(place + cuts[turn % len(cuts)], self._events)
                events = range(place + 1, end + 1)
                yield Answer((end, 0), b" ".join(str(event).encode() for event in events))
                place, turn = end, turn + 1
            await self._grown.wait()


async def settle() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def collect(feed: Feed, after: Cursor, into: list[int], last: int) -> None:
    async for answers in feed.follow(after):
        into += [int(event) for answer in answers for event in answer.payload.split()]
        if into[-1] >= last:
            return


async def test_a_cursor_from_within_a_list_repeats_nothing() -> None:
    """As after a restart of the door: the new feed's lists are not those the cursor is from."""
    owner = Gathering([4], [1])
    owner.grow(8)
    feed = Feed(owner.answers, (0, 0))
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
async def test_every_event_once_and_in_order_however_the_lists_are_cut(
    shared: list[int],
    private: list[int],
    before: int,
    start: int,
    after: int,
    growth: list[int],
) -> None:
    owner = Gathering(shared, private)
    owner.grow(before)
    start, after = min(start, before), min(after, before)
    feed = Feed(owner.answers, (start, 0))
    total = before + sum(growth)
    seen: list[int] = []
    await settle()
    following = asyncio.create_task(collect(feed, (after, 0), seen, total))
    try:
        for count in growth:
            await settle()
            owner.grow(count)
        await asyncio.wait_for(following, 5)
    finally:
        following.cancel()
        feed.close()

    assert seen == list(range(after + 1, total + 1))
