"""Nudging the outbox sender, with a Valkey of each test."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from subgraphs.kernel.config import settings
from subgraphs.kernel.jobs import NUDGE_EVERY, Nudger
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


async def test_a_burst_sends_one_nudge_and_a_later_call_another(broker: Redis) -> None:
    nudger = Nudger()

    await asyncio.gather(*(nudger.nudge() for _ in range(20)))
    after_burst = await sent(broker)
    await nudger.nudge()

    assert (after_burst, await sent(broker)) == (1, 2)


async def test_a_call_during_a_nudge_sends_another(
    broker: Redis,
) -> None:
    nudger = Nudger()
    loop = asyncio.get_running_loop()
    started = loop.time()

    first = asyncio.create_task(nudger.nudge())
    while not await sent(broker):
        pass
    await nudger.nudge()  # too late for the first, whether it has returned or not
    await first

    assert await sent(broker) == 2
    assert loop.time() - started >= NUDGE_EVERY


async def test_without_a_broker_a_nudge_is_logged_and_not_raised(
    valkey: Valkey, broker: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    valkey.kill()

    with caplog.at_level(logging.WARNING, logger="subgraphs.kernel.jobs"):
        await Nudger().nudge()

    assert "could not wake the outbox sender" in caplog.text
