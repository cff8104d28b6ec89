"""Live visitors: bots do not count, small numbers are hidden, lost numbers are rebuilt."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import msgspec
import pytest

from subgraphs.analytics.realtime import counters
from subgraphs.analytics.realtime.live_visitors import HIDDEN_BELOW, WINDOW, Sighting, count, record
from subgraphs.kernel import redis
from tests.fixtures.active_shop import ActiveShop, open_shop
from tests.workers.stream.ledgers import claim_ids, new_stream
from workers.rebuild_counters import rebuild, rebuild_if_lost

pytestmark = pytest.mark.usefixtures("stores")

NOW = datetime(2026, 1, 2, 3, 4, 15, tzinfo=UTC)
SECOND = timedelta(seconds=1)


async def record_visitors(site_id: UUID, visitors: range, ago: timedelta = timedelta()) -> None:
    sightings = [Sighting(site_id, f"visitor {n}", NOW - ago) for n in visitors]
    await record(redis.client(), sightings, now=NOW)


async def visitors_of(site_id: UUID, later: timedelta = timedelta()) -> int | None:
    return (await count(redis.client(), [site_id], now=NOW + later))[site_id]


async def test_a_visitor_counts_once_per_site() -> None:
    site, other = uuid4(), uuid4()
    await record_visitors(site, range(10))
    await record_visitors(site, range(5, 15), ago=2 * timedelta(minutes=1))
    await record_visitors(other, range(7))

    found = await count(redis.client(), [site, other, empty := uuid4()], now=NOW)

    assert found == {site: 15, other: 7, empty: None}
    assert await count(redis.client(), []) == {}


async def test_small_numbers_are_hidden() -> None:
    site = uuid4()
    await record_visitors(site, range(HIDDEN_BELOW - 1))
    assert await visitors_of(site) is None
    await record_visitors(site, range(HIDDEN_BELOW))
    assert await visitors_of(site) == HIDDEN_BELOW


async def test_a_visitor_leaves_the_window_within_half_a_minute() -> None:
    site = uuid4()
    await record_visitors(site, range(10))
    assert await visitors_of(site, WINDOW + 14 * SECOND) == 10
    assert await visitors_of(site, WINDOW + 15 * SECOND) is None

    late = uuid4()
    await record_visitors(late, range(10), ago=WINDOW + 16 * SECOND)
    assert await visitors_of(late) is None
    assert await redis.client().keys(f"visitors:{{{late}}}:*") == []


async def test_a_crowd_is_counted_within_two_per_cent() -> None:
    site = uuid4()
    await record_visitors(site, range(100))
    assert await visitors_of(site) == 100
    await record_visitors(site, range(20_000))
    assert abs((await visitors_of(site) or 0) - 20_000) <= 400


VIEWED = {"orders": 1, "page_views": 13}
"""The other counters of the busy shop."""


async def a_busy_shop() -> ActiveShop:
    """A shop with four page views, claim events of three visitors, and events of bots."""
    shop, stream = await open_shop(), await new_stream()
    placed = datetime.now(UTC) - timedelta(hours=1)
    order = msgspec.structs.replace(shop.order(placed=placed), visitor_id="a buyer")
    (claim_id,) = claim_ids(shop, [order])
    seen = [shop.claim_event(kind, claim_id) for kind in ("shown", "clicked", "withheld")]
    await stream.append(
        order,
        *(shop.page_view(f"visitor {n}") for n in range(4)),
        *(msgspec.structs.replace(event, visitor_id=event.type) for event in seen),
        *(shop.page_view(f"bot {n}", bot="crawler") for n in range(9)),
        *(shop.page_view(None) for _ in range(9)),
        shop.claim_event("shown", uuid4()),
    )
    await stream.drain()
    return shop


async def test_the_pipeline_records_visitors_and_no_bots() -> None:
    shop = await a_busy_shop()
    assert await count(redis.client(), [shop.site_id]) == {shop.site_id: 7}


async def test_lost_counters_and_visitors_are_rebuilt_exactly() -> None:
    client, shop = redis.client(), await a_busy_shop()
    await rebuild()
    before = await counters.read(client, shop.site_id)
    await delete_copies()
    assert await counters.read(client, shop.site_id) == {}
    assert await count(client, [shop.site_id]) == {shop.site_id: None}

    lost = await rebuild_if_lost()
    again = await rebuild_if_lost()

    assert (lost, again) == (True, False)
    assert await counters.read(client, shop.site_id) == before
    assert before == {**VIEWED, "published": 1, "shown": 1, "clicked": 1, "withheld": 1}
    assert await count(client, [shop.site_id]) == {shop.site_id: 7}


async def test_a_rebuild_raises_counters_and_lowers_none() -> None:
    client, shop = redis.client(), await a_busy_shop()
    await client.hset(f"counters:{shop.site_id}", mapping={"shown": 0, "clicked": 9})

    await rebuild()

    found = await counters.read(client, shop.site_id)
    assert found == {**VIEWED, "published": 1, "shown": 1, "clicked": 9, "withheld": 1}


async def test_the_complete_marker_expires() -> None:
    await rebuild()
    assert (
        0 < await redis.client().ttl("counters:complete") <= counters.COMPLETE_FOR.total_seconds()
    )


async def delete_copies() -> None:
    """Delete everything from Redis that is a copy of the ledger."""
    client = redis.client()
    for pattern in ("counters:*", "visitors:*"):
        if keys := await client.keys(pattern):
            await client.delete(*keys)
