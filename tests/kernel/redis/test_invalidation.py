"""Invalidation of in-process caches over a real Valkey, which some tests kill."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from subgraphs.kernel import redis
from subgraphs.kernel.config import settings
from subgraphs.kernel.ids import new_id
from subgraphs.kernel.redis import invalidation
from subgraphs.kernel.redis.invalidation import Change
from tests.fixtures.deadline import eventually
from tests.fixtures.valkey import Valkey


@pytest.fixture(autouse=True)
async def on_valkey(valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    await redis.dispose()
    monkeypatch.setenv("REDIS_URL", valkey.url)
    settings.cache_clear()
    yield
    await redis.dispose()
    monkeypatch.undo()
    settings.cache_clear()


class Received(list[Change | None]):
    """The changes that a cache received."""

    async def size(self) -> int:
        return len(self)


async def test_every_cache_receives_every_change_in_order() -> None:
    one, other = Received(), Received()
    changes = [Change("session", new_id()), Change("user", new_id()), Change("site", new_id())]
    async with invalidation.subscribed(one.append, other.append):
        await eventually(one.size, lambda count: count == 1)  # earlier changes were missed

        await invalidation.publish(*changes)

        await eventually(other.size, lambda count: count == 4)
    assert one == other == [None, *changes]


async def test_a_gap_invalidates_everything(valkey: Valkey) -> None:
    received = Received()
    async with invalidation.subscribed(received.append):
        await eventually(received.size, lambda count: count == 1)

        valkey.kill()
        await invalidation.publish(Change("user", new_id()))  # logged, not raised
        valkey.start()

        await eventually(received.size, lambda count: count == 2)
    assert received == [None, None]


async def test_an_unknown_message_invalidates_everything() -> None:
    received = Received()
    async with invalidation.subscribed(received.append):
        await eventually(received.size, lambda count: count == 1)
        for message in ("user", "user:x", f"planet:{new_id()}", b"\xff:\xff"):
            await redis.client().publish("changed", message)
        await eventually(received.size, lambda count: count == 5)
    assert received == [None] * 5


async def test_a_subscription_ends_at_once() -> None:
    async with asyncio.timeout(2):
        async with invalidation.subscribed():
            await asyncio.sleep(0.05)
