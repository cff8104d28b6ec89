"""Operations end although their first cancellation is lost.

The `asyncio.wait_for` of Python 3.11 loses one that arrives in the same loop turn as its result.
"""

import asyncio
from contextlib import suppress

import pytest

from router.subscriptions.cursors import Cursor
from router.subscriptions.redis_clock import RedisClock
from tests.router.subscriptions.clients import events, live, subscribed
from tests.router.subscriptions.gateway_stack import GatewayStack, numbers


class LostCancellation:
    """Delays the first reading of the Redis time, and swallows its cancellation."""

    def __init__(self) -> None:
        self.waiting = asyncio.Event()
        self._now = RedisClock.now

    async def now(self, clock: RedisClock) -> Cursor:
        if not self.waiting.is_set():
            self.waiting.set()
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)
        return await self._now(clock)


@pytest.fixture
def lost_cancellation(monkeypatch: pytest.MonkeyPatch) -> LostCancellation:
    made = LostCancellation()

    async def now(clock: RedisClock) -> Cursor:
        return await made.now(clock)

    monkeypatch.setattr(RedisClock, "now", now)
    return made


async def test_a_completed_operation_sends_nothing_more(
    stack: GatewayStack, lost_cancellation: LostCancellation
) -> None:
    async with subscribed(stack.url, stack.key) as client:
        await lost_cancellation.waiting.wait()
        await client.send("complete", id="1")
        await client.send("ping")
        assert (await client.receive())["type"] == "pong"
        await client.send("subscribe", id="2", payload=live(stack.key))
        await stack.wait_for_subgraph_subscriptions()

        await stack.wait_for_subscribers(1)
        await stack.publish(1, 2)
        assert numbers(await client.claims(2, id_="2")) == [1, 2]


async def test_a_closed_socket_leaves_no_operation(
    stack: GatewayStack, lost_cancellation: LostCancellation
) -> None:
    async with subscribed(stack.url, stack.key):
        await lost_cancellation.waiting.wait()

    async with subscribed(stack.url, stack.key):
        await stack.wait_for_subgraph_subscriptions()
        await stack.wait_for_subscribers(1)


async def test_a_closed_stream_leaves_no_operation(
    stack: GatewayStack, lost_cancellation: LostCancellation
) -> None:
    async with events(stack.url, live(stack.key), key=stack.key):
        await lost_cancellation.waiting.wait()

    async with subscribed(stack.url, stack.key):
        await stack.wait_for_subgraph_subscriptions()
        await stack.wait_for_subscribers(1)
