"""Who leaves has left, though the first cancellation is lost.

As under `asyncio.wait_for` of Python 3.11, when it comes in the same turn as the answer of Redis.
"""

import asyncio
from contextlib import suppress

import pytest

from router.subscriptions.channel_clock import ChannelClock
from router.subscriptions.cursors import Cursor
from tests.router.subscriptions.clients import events, following, live
from tests.router.subscriptions.world import World, numbers


class Deaf:
    """Has the first who asks for the channel's time hear no cancellation while it waits."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self._now = ChannelClock.now

    async def now(self, clock: ChannelClock) -> Cursor:
        if not self.asked.is_set():
            self.asked.set()
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)
        return await self._now(clock)


@pytest.fixture
def deaf(monkeypatch: pytest.MonkeyPatch) -> Deaf:
    made = Deaf()

    async def now(clock: ChannelClock) -> Cursor:
        return await made.now(clock)

    monkeypatch.setattr(ChannelClock, "now", now)
    return made


async def test_a_completed_operation_says_nothing_more(world: World, deaf: Deaf) -> None:
    async with following(world.url, world.key) as client:
        await deaf.asked.wait()
        await client.say("complete", id="1")
        await client.say("ping")
        assert (await client.hear())["type"] == "pong"
        await client.say("subscribe", id="2", payload=live(world.key))
        await world.followed()

        await world.joined(1)
        await world.publish(1, 2)
        assert numbers(await client.claims(2, id_="2")) == [1, 2]


async def test_a_socket_that_closes_leaves_no_operation(world: World, deaf: Deaf) -> None:
    async with following(world.url, world.key):
        await deaf.asked.wait()

    async with following(world.url, world.key):
        await world.followed()
        await world.joined(1)


async def test_a_stream_that_is_left_leaves_no_operation(world: World, deaf: Deaf) -> None:
    async with events(world.url, live(world.key), key=world.key):
        await deaf.asked.wait()

    async with following(world.url, world.key):
        await world.followed()
        await world.joined(1)
