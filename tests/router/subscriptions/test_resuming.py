"""What it costs when many resume, and where "from now" begins."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from router.subscriptions import channel_clock, feed
from router.subscriptions.cursors import Cursor, as_cursor, as_text
from tests.router.subscriptions import owner
from tests.router.subscriptions.clients import following
from tests.router.subscriptions.world import World, numbers

RESUMING = 20


@pytest.fixture
async def resumed(world: World) -> AsyncIterator[None]:
    """As after a restart of the door at a quiet shop: a new visitor comes, then those from before.

    They all have the cursor of the last claim.
    """
    (cursor,) = await world.publish(1)
    async with AsyncExitStack() as clients:
        await clients.enter_async_context(following(world.url, world.key))
        await world.followed(1)
        for _ in range(RESUMING):
            await clients.enter_async_context(following(world.url, world.key, cursor))
        await world.joined(1 + RESUMING)
        await asyncio.sleep(1)  # a question too many would have come by now
        yield


async def test_those_who_resume_from_one_cursor_share_a_question(
    world: World, resumed: None
) -> None:
    assert len(owner.following) <= 2


async def test_a_claim_brings_all_who_resumed_together(world: World, resumed: None) -> None:
    await world.publish(2)
    await world.followed(1)


async def test_cursors_of_the_future_cost_the_owner_no_question(world: World) -> None:
    (cursor,) = await world.publish(1)
    milliseconds, number = as_cursor(cursor)
    async with AsyncExitStack() as clients:
        visitor = await clients.enter_async_context(following(world.url, world.key))
        await world.followed()
        for hour in range(1, RESUMING):
            ahead = as_text((milliseconds + hour * 3_600_000, number))
            await clients.enter_async_context(following(world.url, world.key, ahead))
        await world.joined(RESUMING)
        await world.publish(2)
        assert numbers(await visitor.claims(1)) == [2]

    assert len(owner.asked) == 1


async def test_a_cursor_that_our_clock_has_not_come_to_is_resumed_from(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The channel's time is read now and then, and is behind by what the answer took."""
    told = channel_clock.ChannelClock.now

    async def behind(self: channel_clock.ChannelClock) -> Cursor:
        milliseconds, number = await told(self)
        return milliseconds - 3_000, number

    monkeypatch.setattr(channel_clock.ChannelClock, "now", behind)
    monkeypatch.setattr(feed, "RING_ANSWERS", 1)
    async with following(world.url, world.key) as visitor:
        await world.followed()
        cursors: list[str] = []
        for number in (1, 2, 3):
            cursors += await world.publish(number)
            assert numbers(await visitor.claims(1)) == [number]
        async with following(world.url, world.key, cursors[0]) as resuming:
            assert numbers(await resuming.claims(2)) == [2, 3]


async def test_a_door_whose_clock_is_ahead_loses_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel_clock, "time_ns", lambda: time.time_ns() + 3_000_000_000)
    async with following(world.url, world.key) as client:
        await world.followed()
        await world.publish(1)
        async with asyncio.timeout(2):
            assert numbers(await client.claims(1)) == [1]
