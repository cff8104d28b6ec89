"""What it costs when many resume, and where "from now" begins."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from router.live import clock
from tests.router.live import owner
from tests.router.live.clients import following
from tests.router.live.world import World, numbers

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
        await asyncio.sleep(1)
        yield


async def test_those_who_resume_from_one_cursor_share_a_question(
    world: World, resumed: None
) -> None:
    assert len(owner.following) <= 2


async def test_a_claim_brings_all_who_resumed_together(world: World, resumed: None) -> None:
    await world.publish(2)
    await world.followed(1)


async def test_a_door_whose_clock_is_ahead_loses_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "time_ns", lambda: time.time_ns() + 3_000_000_000)
    async with following(world.url, world.key) as client:
        await world.followed()
        await world.publish(1)
        async with asyncio.timeout(2):
            assert numbers(await client.claims(1)) == [1]
