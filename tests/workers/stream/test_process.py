"""The stream worker as a process: killed, stopped, and with an unavailable store."""

import asyncio
import operator
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from urllib.parse import urlsplit

import pytest

from subgraphs.kernel import live
from subgraphs.kernel.config import settings
from subgraphs.kernel.streams import event_streams
from subgraphs.kernel.streams.envelope import EVENTS_TOPIC, Event, encode
from subgraphs.kernel.streams.interface import Lag, Record
from tests.fixtures.active_shop import ActiveShop, open_shop
from tests.fixtures.deadline import eventually
from tests.fixtures.processes import Process
from tests.fixtures.proxy import Proxy
from tests.workers.stream.ledgers import channel, messages_of, state_of
from tests.workers.stream.test_stream_worker import expected, orders_of
from workers.stream.main import GROUP

pytestmark = pytest.mark.usefixtures("stores")

Start = Callable[..., Awaitable[Process]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts a worker and waits until it consumes; whatever still runs at the end is killed."""
    started: list[Process] = []

    async def start_one(**env: str) -> Process:
        process = Process("workers.stream.main", env=env)
        started.append(process)
        await eventually(lambda: process.said("ready"), bool)
        return process

    yield start_one
    for process in started:
        process.kill()


async def append(*events: Event) -> None:
    records = [Record(str(event.site_id), str(event.id), encode(event)) for event in events]
    await event_streams.streams().append(EVENTS_TOPIC, records)


async def published(shop: ActiveShop) -> int:
    return len(await channel(live.claims_of(shop.site_id)))


async def all_done(shop: ActiveShop, orders: list[Event]) -> None:
    """Wait until nothing is pending, then compare everything."""
    streams = event_streams.streams()
    await eventually(lambda: published(shop), lambda count: count == len(orders), seconds=30)
    await eventually(
        lambda: streams.lag(EVENTS_TOPIC, GROUP), lambda lag: lag[:3] == Lag(0, 0, None, 0)[:3]
    )
    found = await state_of(shop)
    # A full batch publishes only its latest events to dashboards; the counters include all.
    wanted = expected(shop, orders, {}, found)
    assert found == wanted._replace(activity=min(found.activity, wanted.activity))
    assert (await messages_of(shop))[-1]["counters"] == {
        "orders": len(orders),
        "published": len(orders),
    }


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
    for part in (50, 100, 150):
        await eventually(lambda: published(shop), partial(operator.le, part))
        worker.kill()
        worker = await start()
    await sending

    await all_done(shop, orders)


async def test_on_sigterm_it_finishes_and_hands_over_its_partitions(start: Start) -> None:
    shop = await open_shop()
    orders = orders_of(shop, 40)
    worker, successor = await start(), await start()
    await append(*orders[:20])
    await eventually(lambda: published(shop), bool)

    code = await worker.terminate()

    assert code == 0
    await append(*orders[20:])
    await all_done(shop, orders)
    assert await successor.terminate() == 0


@asynccontextmanager
async def behind_proxy(setting: str, url: str) -> AsyncIterator[tuple[Proxy, dict[str, str]]]:
    """A proxy to a store, and the setting that routes through it."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    async with Proxy(parts.hostname, parts.port or 0) as proxy:
        netloc = parts.netloc.replace(str(parts.port), str(proxy.port))
        yield proxy, {setting: parts._replace(netloc=netloc).geturl()}


@pytest.mark.parametrize("store", ["worker_database_url", "clickhouse_url", "redis_url"])
async def test_an_unavailable_store_delays_events_and_loses_none(start: Start, store: str) -> None:
    shop = await open_shop()
    orders = orders_of(shop, 10)
    value = getattr(settings(), store)
    url = value if isinstance(value, str) else value.get_secret_value()
    async with behind_proxy(store.upper(), url) as (proxy, env):
        worker = await start(**env)
        await append(*orders[:3])
        await all_done(shop, orders[:3])

        await proxy.cut()
        await append(*orders[3:])
        await eventually(lambda: worker.said("retry_in_s"), bool)
        # Visitors do not wait for ClickHouse.
        assert await published(shop) == (10 if store == "clickhouse_url" else 3)
        assert (await event_streams.streams().lag(EVENTS_TOPIC, GROUP))[:2] != (0, 0)

        await proxy.mend()
        await all_done(shop, orders)
        assert await worker.terminate() == 0


async def test_on_sigterm_with_an_unavailable_store_it_leaves_the_batch_unacknowledged(
    start: Start,
) -> None:
    shop = await open_shop()
    orders = orders_of(shop, 3)
    async with behind_proxy("CLICKHOUSE_URL", settings().clickhouse_url) as (proxy, env):
        worker = await start(**env)
        await proxy.cut()
        await append(*orders)
        await eventually(lambda: worker.said("write_raw_events"), bool)

        assert await worker.terminate() == 0
        assert await worker.said("stopped_with_unfinished_batches")

    await start()
    await all_done(shop, orders)
