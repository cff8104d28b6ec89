"""The stream worker as a process, with its streams on Kafka."""

import asyncio
import operator
from collections.abc import AsyncIterator
from functools import partial

import pytest

from subgraphs.kernel.config import settings
from subgraphs.kernel.streams import event_streams
from tests.fixtures.active_shop import open_shop
from tests.fixtures.deadline import eventually
from tests.fixtures.kafka import Kafka
from tests.workers.stream.test_process import Start, all_done, append, published
from tests.workers.stream.test_process import start as start
from tests.workers.stream.test_stream_worker import orders_of

pytestmark = pytest.mark.usefixtures("stores")


@pytest.fixture
async def on_kafka(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    await event_streams.dispose()
    monkeypatch.setenv("STREAM_URL", kafka.url)
    settings.cache_clear()
    yield
    await event_streams.dispose()
    monkeypatch.undo()
    settings.cache_clear()


@pytest.mark.usefixtures("on_kafka")
async def test_a_worker_killed_during_200_orders_loses_and_repeats_none(
    start: Start,
) -> None:
    shop = await open_shop()
    orders = orders_of(shop, 200)
    worker = await start()

    async def send() -> None:
        for order in orders:
            await append(order)

    sending = asyncio.create_task(send())
    await eventually(lambda: published(shop), partial(operator.le, 80))
    worker.kill()
    worker = await start()
    await sending

    await all_done(shop, orders)
    assert await worker.terminate() == 0
