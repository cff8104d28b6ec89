"""A dropped event changes no store and is counted by its reason."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from subgraphs.analytics.clickhouse.counts import get_totals
from subgraphs.analytics.clickhouse.metrics import Dimension
from subgraphs.analytics.pipeline.batch import Batch
from subgraphs.analytics.pipeline.drop_bots import PER_MINUTE
from subgraphs.kernel import redis
from subgraphs.kernel.ids import new_id
from subgraphs.kernel.streams.envelope import Event
from tests.fixtures.active_shop import ActiveShop, open_shop
from tests.workers.stream.ledgers import Stream, claim_ids, new_stream, rows, state_of
from workers.stream.steps import STEPS
from workers.visitor_profiles import fold_all

pytestmark = pytest.mark.usefixtures("stores")


async def with_a_claim() -> tuple[ActiveShop, Stream, Event]:
    """A shop with one claim published, and a click on it."""
    shop, stream = await open_shop(), await new_stream()
    order = shop.order(placed=datetime.now(UTC) - timedelta(minutes=1))
    await stream.append(order)
    await stream.drain()
    (claim_id,) = claim_ids(shop, [order])
    return shop, stream, shop.claim_event("clicked", claim_id)


async def profiles_of(shop: ActiveShop) -> list[tuple[object, ...]]:
    return await rows("SELECT * FROM visitor_profiles WHERE site_id = :site", site=shop.site_id)


async def visitor_keys(shop: ActiveShop) -> int:
    """The number of Redis keys with the shop's visitors."""
    return len(await redis.client().keys(f"visitors:{{{shop.site_id}}}:*"))


async def test_a_dropped_event_changes_nothing() -> None:
    shop, stream, click = await with_a_claim()
    before = await state_of(shop)
    payload = {**click.payload, "bot": "crawler"}
    viewed = msgspec.structs.replace(click, id=new_id(), type="page.viewed", payload=payload)
    reached = msgspec.structs.replace(viewed, id=new_id(), type="goal.reached")
    crawled = msgspec.structs.replace(click, id=new_id(), payload=payload)
    agentless = msgspec.structs.replace(
        crawled, id=new_id(), payload={**payload, "bot": "no_agent"}
    )
    stale = msgspec.structs.replace(
        click, id=new_id(), occurred_at=datetime(2026, 1, 1, tzinfo=UTC)
    )
    unknown = msgspec.structs.replace(click, id=new_id(), type="claim.retracted")

    await fold_all()
    profiles = await profiles_of(shop)
    await stream.append(viewed, reached, crawled, agentless, stale, unknown)
    await stream.drain()
    await fold_all()

    assert await state_of(shop) == before
    assert await profiles_of(shop) == profiles == []
    assert await visitor_keys(shop) == 0
    assert await stream.streams.drops(stream.topic) == {
        "bot_crawler": 3,
        "bot_no_agent": 1,
        "implausible_time": 1,
        "unknown_type": 1,
    }


async def test_events_above_a_persons_rate_do_not_count() -> None:
    shop, stream, click = await with_a_claim()
    clicks = [msgspec.structs.replace(click, id=new_id()) for _ in range(PER_MINUTE + 30)]

    await stream.append(*clicks)
    await stream.drain(limit=50)

    found = await state_of(shop)
    assert found.notification_events == {"published": 1, "clicked": PER_MINUTE}
    assert found.counters == {"orders": 1, **found.notification_events}
    assert await stream.streams.drops(stream.topic) == {"bot_too_fast": 30}


async def test_a_counted_event_stays_counted_when_it_now_seems_too_fast() -> None:
    """A worker crashed after the PostgreSQL steps; the next one has counted the visitor since."""
    shop, stream, click = await with_a_claim()
    page = msgspec.structs.replace(click, id=new_id(), type="page.viewed")
    await stream.append(click, page)
    first = Batch.of(await stream.consumer.read(limit=500, wait=0))
    STEPS.read(first)
    await STEPS.record(first)
    late = [msgspec.structs.replace(click, id=new_id()) for _ in range(PER_MINUTE)]
    meanwhile = await new_stream()
    await meanwhile.append(*late)
    await meanwhile.drain()

    again = Batch.of([item.entry for item in first.items])
    STEPS.read(again)
    drops = [item.drop for item in again.items]
    for step in (STEPS.record, *STEPS.publishing):
        await step(again)

    assert drops == ["bot_too_fast", "bot_too_fast"]
    assert [item.drop for item in again.items] == [None, None]
    found = await state_of(shop)
    assert found.numbers["clicked"] == found.notification_events["clicked"] == PER_MINUTE - 2 + 1


async def test_the_first_version_of_an_event_counts() -> None:
    shop, stream, click = await with_a_claim()
    view = msgspec.structs.replace(click, id=new_id(), type="page.viewed", payload={"page": "/one"})
    await stream.append(click, view)
    await stream.drain()
    before = await counted_by_page(shop)

    changed = {**click.payload, "page": "/elsewhere", "device": "mobile"}
    await stream.append(
        msgspec.structs.replace(click, payload=changed),
        msgspec.structs.replace(view, payload={"page": "/two"}),
    )
    await stream.drain()

    assert (
        await counted_by_page(shop)
        == before
        == {("clicked", "/shoes"): 1, ("page_views", "/one"): 1}
    )


async def counted_by_page(shop: ActiveShop) -> dict[tuple[str, str], int]:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    span = today - timedelta(days=1), today + timedelta(days=1)
    found = await get_totals([shop.site_id], *span, dimension=Dimension.PAGE)
    return {(total.metric, total.key): total.value for total in found}
