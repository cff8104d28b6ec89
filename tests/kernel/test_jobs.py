"""Waking a task, with a Valkey of each test."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from subgraphs.kernel import jobs, redis
from subgraphs.kernel.config import settings
from subgraphs.kernel.jobs import WAKE_INTERVAL, Waker
from subgraphs.kernel.redis import connect
from tests.fixtures.valkey import Valkey


@pytest.fixture
async def broker(valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Redis]:
    monkeypatch.setenv("CELERY_BROKER_URL", valkey.url)
    monkeypatch.setenv("REDIS_URL", valkey.url)
    settings.cache_clear()
    await redis.dispose()
    async with connect(valkey.url) as client:
        yield client
    await redis.dispose()
    monkeypatch.undo()
    settings.cache_clear()


def new_waker() -> Waker:
    return Waker("test.task", queue="tests")


async def sent(broker: Redis) -> int:
    return int(await broker.llen("tests"))


async def test_a_burst_is_one_wake_up_and_a_later_call_is_another(broker: Redis) -> None:
    waker = new_waker()

    await asyncio.gather(*(waker.wake() for _ in range(20)))
    after_burst = await sent(broker)
    await jobs.begin_wake_up("test.task")
    await waker.wake()

    assert (after_burst, await sent(broker)) == (1, 2)


async def test_while_no_worker_reads_it_one_wake_up_waits(broker: Redis) -> None:
    for _ in range(3):
        await new_waker().wake()  # each as another process

    assert await sent(broker) == 1


async def test_a_flag_that_no_worker_clears_expires(
    broker: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "WAKE_EXPIRY", 0.05)
    await new_waker().wake()

    await asyncio.sleep(0.1)
    await new_waker().wake()

    assert await sent(broker) == 2


async def test_a_call_after_the_message_was_sent_gets_a_message_of_its_own(
    broker: Redis,
) -> None:
    waker = new_waker()
    loop = asyncio.get_running_loop()
    started = loop.time()

    first = asyncio.create_task(waker.wake())
    while not await sent(broker):
        pass
    await jobs.begin_wake_up("test.task")
    await waker.wake()  # too late for the first, whether it has returned or not
    await first

    assert await sent(broker) == 2
    assert loop.time() - started >= WAKE_INTERVAL


async def test_without_a_broker_a_wake_up_is_logged_and_not_raised(
    valkey: Valkey, broker: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    valkey.kill()

    with caplog.at_level(logging.WARNING, logger="subgraphs.kernel.jobs"):
        await new_waker().wake()

    assert "wake_up_failed" in caplog.text
