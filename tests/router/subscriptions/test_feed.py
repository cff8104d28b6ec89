"""A feed gives every follower every answer once and in order, wherever it comes from."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.subscriptions import feed as feed_module
from router.subscriptions.cursors import Cursor
from router.subscriptions.documents import Refused
from router.subscriptions.feed import Feed, TooSlow
from router.subscriptions.upstream import Answer

RING = 8


class Owner:
    """A subgraph's side: a log that grows, and what is asked of it."""

    def __init__(self) -> None:
        self.log: list[Answer] = []
        self.asked: list[Cursor] = []
        self.answering = 0
        """How many questions it is answering now."""
        self._grown = asyncio.Event()

    def grow(self, count: int) -> None:
        for _ in range(count):
            number = len(self.log) + 1
            self.log.append(Answer((number, 0), str(number).encode()))
        self._grown.set()
        self._grown = asyncio.Event()

    async def answers(self, after: Cursor) -> AsyncIterator[Answer]:
        self.asked.append(after)
        self.answering += 1
        place = after[0]
        try:
            while True:
                while place < len(self.log):
                    place += 1
                    yield self.log[place - 1]
                await self._grown.wait()
        finally:
            self.answering -= 1


@pytest.fixture(autouse=True)
def small_ring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "RING_ANSWERS", RING)


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(50):
        await asyncio.sleep(0)


async def collect(feed: Feed, after: Cursor | None, into: list[int], last: int) -> None:
    begin = after or (0, 0)
    async for answers in feed.follow(begin, resuming=after is not None):
        into += [answer.cursor[0] for answer in answers]
        if into[-1] >= last:
            return


async def test_two_followers_cost_the_owner_one_question() -> None:
    owner = Owner()
    one: list[int] = []
    two: list[int] = []
    feed = Feed(owner.answers, (0, 0))
    following = [asyncio.create_task(collect(feed, None, seen, 5)) for seen in (one, two)]
    await settle()

    owner.grow(5)
    await asyncio.gather(*following)

    assert one == two == [1, 2, 3, 4, 5]
    assert owner.asked == [(0, 0)]
    feed.close()


async def test_a_resume_within_the_ring_asks_nobody() -> None:
    owner = Owner()
    seen: list[int] = []
    feed = Feed(owner.answers, (0, 0))
    owner.grow(6)
    await settle()

    await collect(feed, (3, 0), seen, 6)

    assert seen == [4, 5, 6]
    assert owner.asked == [(0, 0)]
    feed.close()


async def test_a_resume_from_before_the_ring_is_served_by_the_owner_and_joins() -> None:
    owner = Owner()
    seen: list[int] = []
    owner.grow(20)
    feed = Feed(owner.answers, (0, 0))
    await settle()

    following = asyncio.create_task(collect(feed, (2, 0), seen, 25))
    await settle()
    owner.grow(5)
    await following

    assert seen == list(range(3, 26))
    assert owner.asked == [(0, 0), (2, 0)]
    feed.close()


async def test_who_does_not_read_is_let_go_and_the_others_are_not() -> None:
    owner = Owner()
    seen: list[int] = []
    feed = Feed(owner.answers, (0, 0))
    stalled = feed.follow((0, 0), resuming=False)
    reading = asyncio.create_task(collect(feed, None, seen, 2 * RING + 1))
    first = asyncio.ensure_future(anext(stalled))
    await settle()
    owner.grow(1)
    assert [answer.cursor for answer in await first] == [(1, 0)]

    for _ in range(2 * RING):
        owner.grow(1)
        await settle()
    await reading

    assert seen == list(range(1, 2 * RING + 2))
    with pytest.raises(TooSlow):
        await anext(stalled)
    feed.close()


async def test_a_refusal_reaches_every_follower() -> None:
    async def refusing(after: Cursor) -> AsyncIterator[Answer]:
        raise Refused.because("no longer yours", "NOT_FOUND")
        yield

    feed = Feed(refusing, (0, 0))

    for _ in range(2):
        with pytest.raises(Refused, match="no longer yours"):
            await anext(feed.follow((0, 0), resuming=False))
    assert feed.failed


async def test_an_ended_feed_tells_its_followers_why() -> None:
    owner = Owner()
    feed = Feed(owner.answers, (0, 0))
    following = asyncio.ensure_future(anext(feed.follow((0, 0), resuming=False)))
    await settle()

    feed.end(Refused.because("too many", "RATE_LIMITED"))

    with pytest.raises(Refused, match="too many"):
        await following
    assert feed.failed


async def test_of_too_many_cursors_the_least_followed_and_newest_has_to_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feed_module, "MAX_EARLIER", 2)
    owner = Owner()
    owner.grow(5)
    feed = Feed(owner.answers, (9, 0))  # where no answer ends: who is behind it cannot join yet
    seen: list[list[int]] = [[] for _ in range(4)]
    following = []
    for after, into in zip((1, 1, 2, 3), seen, strict=True):
        following.append(asyncio.create_task(collect(feed, (after, 0), into, 10)))
        await settle()

    with pytest.raises(Refused, match="More than 2") as refused:
        await following.pop(2)
    await settle()
    assert owner.answering == 3
    owner.grow(5)
    await asyncio.gather(*following)
    await settle()

    assert refused.value.errors[0]["extensions"] == {"code": "RATE_LIMITED"}
    whole = list(range(2, 11))
    assert seen == [whole, whole, [3, 4, 5], whole[2:]]
    assert owner.asked == [(9, 0), (1, 0), (2, 0), (3, 0)]
    assert owner.answering == 1
    feed.close()


async def test_those_who_do_not_read_what_is_long_ago_are_not_asked_for_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each finds that the feed of the one before has gone too far to be followed."""
    monkeypatch.setattr(feed_module, "MAX_EARLIER", 2)
    owner = Owner()
    owner.grow(2 * RING)
    feed = Feed(owner.answers, (2 * RING, 0))
    await settle()

    stalled = [feed.follow((0, 0)) for _ in range(4)]
    first = []
    for lists in stalled:
        first.append(asyncio.ensure_future(anext(lists)))
        await settle()

    assert [isinstance(it.exception(), Refused) for it in first] == [False, False, True, False]
    assert owner.answering == 3
    for lists in stalled:
        await lists.aclose()
    feed.close()


async def test_an_ended_feed_ends_those_that_begin_before_it() -> None:
    owner = Owner()
    seen: list[int] = []
    owner.grow(2)
    feed = Feed(owner.answers, (9, 0))
    following = asyncio.create_task(collect(feed, (1, 0), seen, 9))
    await settle()
    assert (seen, owner.answering) == ([2], 2)

    feed.end(Refused.because("too many", "RATE_LIMITED"))
    await settle()

    with pytest.raises(Refused, match="too many"):
        await following
    with pytest.raises(Refused, match="too many"):
        await anext(feed.follow((0, 0)))
    assert owner.answering == 0


async def test_a_closed_feed_asks_nothing_any_more() -> None:
    owner = Owner()
    feed = Feed(owner.answers, (9, 0))
    following = asyncio.create_task(collect(feed, (1, 0), [], 9))
    await settle()
    assert owner.answering == 2

    feed.close()
    await settle()

    assert owner.answering == 0
    following.cancel()


@settings(max_examples=150, deadline=None)
@given(
    before=st.integers(0, 3 * RING),
    start=st.integers(0, 3 * RING),
    after=st.integers(0, 3 * RING),
    growth=st.lists(st.integers(1, RING), max_size=6),
)
async def test_every_answer_once_and_in_order_from_any_place(
    before: int, start: int, after: int, growth: list[int]
) -> None:
    owner = Owner()
    seen: list[int] = []
    owner.grow(before)
    start, after = min(start, before), min(after, before)
    feed = Feed(owner.answers, (start, 0))
    total = before + sum(growth)
    following = asyncio.create_task(collect(feed, (after, 0), seen, total))
    try:
        for count in growth:
            owner.grow(count)
            await settle()
        if total > after:
            await asyncio.wait_for(following, 5)
    finally:
        following.cancel()
        feed.close()

    assert seen == list(range(after + 1, total + 1))
