"""What many resuming subscribers cost the subgraph, and where a new subscription starts."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from router.subscriptions import redis_clock, result_buffer
from router.subscriptions.cursors import Cursor, format_cursor, parse_cursor
from tests.router.subscriptions import claims_subgraph
from tests.router.subscriptions.clients import subscribed
from tests.router.subscriptions.gateway_stack import GatewayStack, numbers

RESUMING = 20


@pytest.fixture
async def resumed(stack: GatewayStack) -> AsyncIterator[None]:
    """As after a gateway restart at a quiet shop: one new subscriber, then `RESUMING` former ones.

    All former subscribers have the cursor of the last claim.
    """
    (cursor,) = await stack.publish(1)
    async with AsyncExitStack() as clients:
        await clients.enter_async_context(subscribed(stack.url, stack.key))
        await stack.wait_for_subgraph_subscriptions(1)
        for _ in range(RESUMING):
            await clients.enter_async_context(subscribed(stack.url, stack.key, cursor))
        await stack.wait_for_subscribers(1 + RESUMING)
        await asyncio.sleep(1)  # long enough for a surplus subscription to arrive
        yield


async def test_equal_cursors_share_one_replay(stack: GatewayStack, resumed: None) -> None:
    assert len(claims_subgraph.open_subscriptions) <= 2


async def test_the_next_claim_ends_the_replay(stack: GatewayStack, resumed: None) -> None:
    await stack.publish(2)
    await stack.wait_for_subgraph_subscriptions(1)


async def test_future_cursors_open_no_subgraph_subscription(stack: GatewayStack) -> None:
    (cursor,) = await stack.publish(1)
    milliseconds, number = parse_cursor(cursor)
    async with AsyncExitStack() as clients:
        visitor = await clients.enter_async_context(subscribed(stack.url, stack.key))
        await stack.wait_for_subgraph_subscriptions()
        for hour in range(1, RESUMING):
            ahead = format_cursor((milliseconds + hour * 3_600_000, number))
            await clients.enter_async_context(subscribed(stack.url, stack.key, ahead))
        await stack.wait_for_subscribers(RESUMING)
        await stack.publish(2)
        assert numbers(await visitor.claims(1)) == [2]

    assert len(claims_subgraph.requested_after) == 1


async def test_a_cursor_ahead_of_a_lagging_clock_is_resumed(
    stack: GatewayStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Redis time is read at intervals, and lags by the time the answer took."""
    original = redis_clock.RedisClock.now

    async def lagging(self: redis_clock.RedisClock) -> Cursor:
        milliseconds, number = await original(self)
        return milliseconds - 3_000, number

    monkeypatch.setattr(redis_clock.RedisClock, "now", lagging)
    monkeypatch.setattr(result_buffer, "BUFFER_RESULTS", 1)
    async with subscribed(stack.url, stack.key) as visitor:
        await stack.wait_for_subgraph_subscriptions()
        cursors: list[str] = []
        for number in (1, 2, 3):
            cursors += await stack.publish(number)
            assert numbers(await visitor.claims(1)) == [number]
        async with subscribed(stack.url, stack.key, cursors[0]) as resuming:
            assert numbers(await resuming.claims(2)) == [2, 3]


async def test_a_gateway_clock_ahead_of_redis_loses_nothing(
    stack: GatewayStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_clock, "time_ns", lambda: time.time_ns() + 3_000_000_000)
    async with subscribed(stack.url, stack.key) as client:
        await stack.wait_for_subgraph_subscriptions()
        await stack.publish(1)
        async with asyncio.timeout(2):
            assert numbers(await client.claims(1)) == [1]
