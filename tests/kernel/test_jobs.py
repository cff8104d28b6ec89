"""Nudging the outbox sender, with a Valkey of each test."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from subgraphs.kernel.config import settings
from subgraphs.kernel.jobs import WAKE_INTERVAL, OutboxWaker
from subgraphs.kernel.redis import connect
from tests.fixtures.valkey import Valkey


@pytest.fixture
async def broker(valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Redis]:
    monkeypatch.setenv("CELERY_BROKER_URL", valkey.url)
    settings.cache_clear()
    async with connect(valkey.url) as client:
        yield client
    monkeypatch.undo()
    settings.cache_clear()


async def sent(broker: Redis) -> int:
    return int(await broker.llen("celery"))


async def test_a_burst_is_one_wake_up_and_a_later_call_is_another(broker: Redis) -> None:
    waker = OutboxWaker()

    await asyncio.gather(*(waker.wake() for _ in range(20)))
    after_burst = await sent(broker)
    await waker.wake()

    assert (after_burst, await sent(broker)) == (1, 2)


async def test_a_call_during_a_nudge_sends_another(
    broker: Redis,
) -> None:
    waker = OutboxWaker()
    loop = asyncio.get_running_loop()
    started = loop.time()

    first = asyncio.create_task(waker.wake())
    while not await sent(broker):
        pass
    await waker.wake()  # too late for the first, whether it has returned or not
    await first

    assert await sent(broker) == 2
    assert loop.time() - started >= WAKE_INTERVAL


async def test_without_a_broker_a_wake_up_is_logged_and_not_raised(
    valkey: Valkey, broker: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    valkey.kill()

    with caplog.at_level(logging.WARNING, logger="subgraphs.kernel.jobs"):
        await OutboxWaker().wake()

    assert "outbox_wake_up_failed" in caplog.text
