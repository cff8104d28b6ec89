"""The step `drop_expired`: events of archived times have no effect and are counted by reason."""

from datetime import datetime, timedelta

import msgspec
import pytest

from subgraphs.analytics.clickhouse.counts import get_counts
from subgraphs.analytics.clickhouse.metrics import Granularity
from subgraphs.analytics.realtime import counters
from subgraphs.kernel import db, redis
from subgraphs.kernel.streams.envelope import Event
from tests.fixtures.active_shop import ActiveShop, open_shop
from tests.workers.archive.archiving import a_share, archive_all, keep_for, month_ago, partition_at
from tests.workers.stream.ledgers import new_stream, rows

pytestmark = pytest.mark.usefixtures("stores")

DAY = timedelta(days=1)


def order(shop: ActiveShop, placed: datetime, number: int = 1, *, captured: datetime) -> Event:
    return msgspec.structs.replace(shop.order(number, placed=placed), captured_at=captured)


async def in_the_ledger(shop: ActiveShop) -> int:
    statement = "SELECT count(*) FROM events WHERE site_id = :site"
    ((count,),) = await rows(statement, site=shop.site_id)
    return int(count)


async def order_counts(shop: ActiveShop, placed: datetime) -> tuple[int, int]:
    """The orders of that day in ClickHouse, and in the Redis counters."""
    start = placed.replace(hour=0, minute=0, second=0, microsecond=0)
    found = await get_counts([shop.site_id], start, start + DAY, granularity=Granularity.DAY)
    shown = await counters.read(redis.client(), shop.site_id)
    return sum(sum(it.values) for it in found if it.metric == "orders"), shown.get("orders", 0)


async def test_a_repeated_order_of_an_archived_month_does_not_count_again() -> None:
    shop, stream = await open_shop(), await new_stream()
    placed = month_ago(5) + DAY
    first = order(shop, placed, captured=placed + timedelta(seconds=1))
    await stream.append(first)
    await stream.drain()
    assert (await in_the_ledger(shop), await order_counts(shop, placed)) == (1, (1, 1))
    await archive_all()
    assert await in_the_ledger(shop) == 0

    await stream.append(first)  # by hand, from the dead letters
    await stream.drain()
    await stream.append(order(shop, placed, captured=month_ago(0)))  # by the shop
    await stream.append(order(shop, placed, 2, captured=month_ago(0)))  # never seen, and too late
    await stream.drain()

    assert await stream.streams.drops(stream.topic) == {"archived": 1, "past_retention": 2}
    assert (await in_the_ledger(shop), await order_counts(shop, placed)) == (0, (1, 1))
    assert await partition_at("events", placed) is None


async def test_a_plan_with_longer_retention_accepts_older_events() -> None:
    shop, stream = await open_shop(), await new_stream()
    placed, captured = month_ago(4), month_ago(0)
    await keep_for(shop.shop, 365)

    await stream.append(order(shop, placed, captured=captured))
    await stream.append(order(shop, captured - 366 * DAY, 2, captured=captured))
    await stream.drain()

    assert await stream.streams.drops(stream.topic) == {"past_retention": 1}
    assert (await in_the_ledger(shop), await order_counts(shop, placed)) == (1, (1, 1))


async def test_a_batch_repeated_while_its_month_is_archived_keeps_its_events() -> None:
    shop, stream = await open_shop(), await new_stream()
    await keep_for(shop.shop, 365)
    placed, captured = month_ago(8) + DAY, month_ago(0)
    await stream.append(order(shop, placed, captured=captured))
    await stream.drain()
    async with db.service_transaction() as session:
        await a_share(session, shop.shop)

    await stream.append(
        order(shop, placed, captured=captured), order(shop, placed, 2, captured=captured)
    )
    await stream.drain()

    assert await stream.streams.drops(stream.topic) == {"archived": 1}
    assert (await in_the_ledger(shop), await order_counts(shop, placed)) == (1, (1, 1))
