"""Who is on a site now: machines are not counted, few are not told, what is lost comes back."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import msgspec
import pytest

from subgraphs.analytics.realtime import counters, live_visitors
from subgraphs.analytics.realtime.live_visitors import HIDDEN_BELOW, WINDOW, Sighting, count, record
from subgraphs.kernel import redis
from tests.fixtures.active_shop import ActiveShop, open_shop
from tests.workers.stream.ledgers import claim_ids, new_stream
from workers.rebuild_counters import rebuild, rebuild_if_lost

pytestmark = pytest.mark.usefixtures("stores")

NOW = datetime(2026, 1, 2, 3, 4, 15, tzinfo=UTC)
SECOND = timedelta(seconds=1)


async def see(site_id: UUID, visitors: range, ago: timedelta = timedelta()) -> None:
    sightings = [Sighting(site_id, f"visitor {n}", NOW - ago) for n in visitors]
    await record(redis.client(), sightings, now=NOW)


async def there(site_id: UUID, later: timedelta = timedelta()) -> int | None:
    return (await count(redis.client(), [site_id], now=NOW + later))[site_id]


async def test_every_visitor_counts_once_at_his_site() -> None:
    site, other = uuid4(), uuid4()
    await see(site, range(10))
    await see(site, range(5, 15), ago=2 * timedelta(minutes=1))
    await see(other, range(7))

    found = await count(redis.client(), [site, other, nobody := uuid4()], now=NOW)

    assert found == {site: 15, other: 7, nobody: None}
    assert await count(redis.client(), []) == {}


async def test_few_are_not_told() -> None:
    site = uuid4()
    await see(site, range(HIDDEN_BELOW - 1))
    assert await there(site) is None
    await see(site, range(HIDDEN_BELOW))
    assert await there(site) == HIDDEN_BELOW


async def test_who_was_there_long_ago_is_gone_to_the_half_minute() -> None:
    site = uuid4()
    await see(site, range(10))
    assert await there(site, WINDOW + 14 * SECOND) == 10
    assert await there(site, WINDOW + 15 * SECOND) is None

    late = uuid4()
    await see(late, range(10), ago=WINDOW + 16 * SECOND)
    assert await there(late) is None
    assert await redis.client().keys(f"visitors:{{{late}}}:*") == []


async def test_a_crowd_is_counted_within_two_per_cent() -> None:
    site = uuid4()
    await see(site, range(100))
    assert await there(site) == 100
    await see(site, range(20_000))
    assert abs((await there(site) or 0) - 20_000) <= 400


VIEWED = {"orders": 1, "page_views": 13}
"""What its counters hold besides."""


async def a_busy_shop() -> ActiveShop:
    """Four visitors looked at a page and three had to do with a claim; machines came too."""
    shop, stream = await open_shop(), await new_stream()
    placed = datetime.now(UTC) - timedelta(hours=1)
    order = msgspec.structs.replace(shop.order(placed=placed), visitor_id="a buyer")
    (claim_id,) = claim_ids(shop, [order])
    seen = [shop.seen(kind, claim_id) for kind in ("shown", "clicked", "withheld")]
    await stream.append(
        order,
        *(shop.viewed(f"visitor {n}") for n in range(4)),
        *(msgspec.structs.replace(event, visitor_id=event.type) for event in seen),
        *(shop.viewed(f"machine {n}", bot="crawler") for n in range(9)),
        *(shop.viewed(None) for _ in range(9)),
        shop.seen("shown", uuid4()),
    )
    await stream.drain()
    return shop


async def test_the_pipeline_notes_who_is_no_machine() -> None:
    shop = await a_busy_shop()
    assert await count(redis.client(), [shop.site_id]) == {shop.site_id: 7}


async def test_what_redis_lost_is_found_out_and_comes_back_exactly() -> None:
    client, shop = redis.client(), await a_busy_shop()
    await rebuild()
    before = await counters.read(client, shop.site_id)
    await forget()
    assert await counters.read(client, shop.site_id) == {}
    assert await count(client, [shop.site_id]) == {shop.site_id: None}

    lost = await rebuild_if_lost()
    again = await rebuild_if_lost()

    assert (lost, again) == (True, False)
    assert await counters.read(client, shop.site_id) == before
    assert before == {**VIEWED, "published": 1, "shown": 1, "clicked": 1, "withheld": 1}
    assert await count(client, [shop.site_id]) == {shop.site_id: 7}


async def test_counters_that_fell_behind_are_raised_and_none_is_lowered() -> None:
    client, shop = redis.client(), await a_busy_shop()
    await client.hset(f"counters:{shop.site_id}", mapping={"shown": 0, "clicked": 9})

    await rebuild()

    found = await counters.read(client, shop.site_id)
    assert found == {**VIEWED, "published": 1, "shown": 1, "clicked": 9, "withheld": 1}


async def test_the_copy_is_made_again_from_time_to_time() -> None:
    await rebuild()
    assert (
        0 < await redis.client().ttl("counters:complete") <= counters.COMPLETE_FOR.total_seconds()
    )
    assert live_visitors.HIDDEN_BELOW > 1


async def forget() -> None:
    """Redis loses all that is only a copy."""
    client = redis.client()
    for pattern in ("counters:*", "visitors:*"):
        if keys := await client.keys(pattern):
            await client.delete(*keys)
