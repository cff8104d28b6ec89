"""Attribution: the rule, and its effect once, in any order and batching of the events."""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import pytest

from subgraphs.analytics.clickhouse.counts import get_counts
from subgraphs.analytics.clickhouse.metrics import Granularity
from subgraphs.analytics.pipeline.attribute import WINDOW, conversion_id, revenue_of
from subgraphs.analytics.pipeline.check_timestamps import truncated
from subgraphs.analytics.realtime import counters
from subgraphs.kernel import redis
from subgraphs.kernel.identity.viewer import Viewer
from subgraphs.kernel.ids import new_id
from subgraphs.kernel.streams.envelope import Event
from tests.fixtures.active_shop import ActiveShop, open_shop
from tests.fixtures.cells import cells
from tests.workers.stream.ledgers import claim_ids, new_stream, rows

pytestmark = pytest.mark.usefixtures("stores")

NOW = truncated(datetime.now(UTC))
MS = timedelta(milliseconds=1)
HOUR = timedelta(hours=1)
TOTAL = {"amountMinor": 12_345, "currency": "EUR"}


class Conversion(NamedTuple):
    """A row of the ledger."""

    id: UUID
    created_at: datetime
    claim_id: UUID
    visitor_id: str
    page: str
    arm: str
    revenue_minor: int | None
    currency: str | None
    source_event_id: UUID


async def conversions_of(shop: ActiveShop) -> list[Conversion]:
    found: list[Any] = await rows(
        "SELECT id, created_at, claim_id, visitor_id, page, arm, revenue_minor, currency,"
        " source_event_id FROM notification_events"
        " WHERE site_id = :site AND event_type = 'converted' ORDER BY created_at, id",
        site=shop.site_id,
    )
    return [Conversion(*row) for row in found]


class ShopWithClaims:
    """A shop with two claims; makes the events of its visitors."""

    def __init__(self, shop: ActiveShop, claims: list[UUID]) -> None:
        self.shop = shop
        self.claims = claims

    def touch(self, kind: str, before: timedelta, claim: int = 0, visitor: str = "anna") -> Event:
        """A claim event so long before the order."""
        event = self.shop.claim_event(kind, self.claims[claim], at=NOW - before)
        payload = {**event.payload, "page": f"/{kind}/{claim}"}
        return msgspec.structs.replace(event, visitor_id=visitor, payload=payload)

    def order(self, number: int = 100, visitor: str | None = "anna", **payload: Any) -> Event:
        order = self.shop.order(number, placed=NOW)
        payload = {**order.payload, "total": TOTAL, **payload}
        return msgspec.structs.replace(order, visitor_id=visitor, payload=payload)

    def conversion(self, order: Event, arm: str, touch: str, claim: int = 0) -> Conversion:
        return Conversion(
            id=conversion_id(order),
            created_at=NOW,
            claim_id=self.claims[claim],
            visitor_id="anna",
            page=f"/{touch}/{claim}",
            arm=arm,
            revenue_minor=12_345,
            currency="EUR",
            source_event_id=order.id,
        )


async def shop_with_claims(owner: Viewer | None = None) -> ShopWithClaims:
    shop = await open_shop(owner)
    orders = [shop.order(n, placed=NOW - timedelta(days=3, minutes=n)) for n in range(2)]
    await process(*orders)
    return ShopWithClaims(shop, claim_ids(shop, orders))


async def process(*events: Event, limit: int = 500) -> None:
    stream = await new_stream()
    await stream.append(*events)
    await stream.drain(limit)


async def numbers_of(shop: ActiveShop) -> dict[str, int]:
    """ClickHouse's counts of conversions and their revenue."""
    day = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
    found = await get_counts(
        [shop.site_id],
        day - timedelta(days=1),
        day + timedelta(days=1),
        granularity=Granularity.DAY,
    )
    return {
        count.metric: count.value
        for count in cells(found)
        if count.metric.startswith(("converted", "revenue:"))
    }


async def redis_counters(shop: ActiveShop) -> dict[str, int]:
    found = await counters.read(redis.client(), shop.site_id)
    return {metric: value for metric, value in found.items() if metric.startswith("converted")}


@pytest.mark.parametrize(
    ("touches", "arm", "touch", "claim"),
    [
        ([("clicked", HOUR, 0), ("clicked", 2 * HOUR, 1)], "clicked", "clicked", 0),
        ([("clicked", 2 * HOUR, 0), ("clicked", HOUR, 1)], "clicked", "clicked", 1),
        ([("clicked", 23 * HOUR, 0), ("shown", MS, 1)], "clicked", "clicked", 0),
        ([("shown", 2 * HOUR, 0), ("shown", HOUR, 1)], "shown", "shown", 1),
        ([("shown", 20 * HOUR, 0), ("withheld", MS, 1)], "shown", "shown", 0),
        ([("withheld", HOUR, 0), ("dismissed", MS, 1)], "held_out", "withheld", 0),
        ([("clicked", 0 * MS, 0)], "clicked", "clicked", 0),
        ([("clicked", WINDOW - MS, 0)], "clicked", "clicked", 0),
        ([("clicked", WINDOW, 0), ("shown", HOUR, 1)], "shown", "shown", 1),
    ],
)
async def test_the_last_click_decides_then_the_last_claim_shown_then_the_last_withheld(
    touches: list[tuple[str, timedelta, int]], arm: str, touch: str, claim: int
) -> None:
    shop = await shop_with_claims()
    order = shop.order()

    await process(*(shop.touch(*one) for one in touches), order)

    assert await conversions_of(shop.shop) == [shop.conversion(order, arm, touch, claim)]
    metric = {"clicked": "converted", "shown": "converted_shown"}.get(arm, "converted_held_out")
    assert await redis_counters(shop.shop) == {metric: 1}
    assert (await numbers_of(shop.shop))[metric] == 1


async def test_revenue_is_counted_by_currency() -> None:
    shop = await shop_with_claims()
    await process(shop.touch("clicked", HOUR), shop.order(1), shop.order(2))

    numbers = await numbers_of(shop.shop)
    assert (numbers["converted"], numbers["revenue:EUR"]) == (2, 2 * 12_345)


async def test_without_a_touch_or_a_known_buyer_there_is_no_conversion() -> None:
    shop, other = await shop_with_claims(), await shop_with_claims()
    await process(
        shop.touch("clicked", HOUR, visitor="berit"),
        shop.touch("dismissed", HOUR),
        shop.touch("clicked", WINDOW),
        shop.touch("clicked", -MS),
        other.touch("clicked", HOUR),
        shop.order(1),
        shop.order(2, visitor=None),
    )

    assert await conversions_of(shop.shop) == []
    assert await redis_counters(shop.shop) == await numbers_of(shop.shop) == {}


async def test_a_goal_is_a_conversion_with_any_id() -> None:
    shop = await shop_with_claims()
    goal = msgspec.structs.replace(
        shop.touch("clicked", timedelta(0)),
        id=UUID("ffffffff-ffff-4fff-bfff-ffffffffffff"),
        type="goal.reached",
        payload={"goal": "newsletter", "value": {"amountMinor": 50, "currency": "NOK"}},
    )
    bare = msgspec.structs.replace(goal, id=new_id(), payload={"goal": "newsletter"})

    await process(shop.touch("shown", HOUR), goal, bare)

    found = await conversions_of(shop.shop)
    assert {(one.source_event_id, one.arm, one.revenue_minor, one.currency) for one in found} == {
        (goal.id, "shown", 50, "NOK"),
        (bare.id, "shown", None, None),
    }


@pytest.mark.parametrize(
    "total",
    [None, 7, [], {}, {"amountMinor": 1}, {"amountMinor": 1.5, "currency": "EUR"},
     {"amountMinor": True, "currency": "EUR"}, {"amountMinor": -1, "currency": "EUR"},
     {"amountMinor": 10**16, "currency": "EUR"}, {"amountMinor": 1, "currency": "EURO"},
     {"amountMinor": 1, "currency": 978}],
)  # fmt: skip
def test_invalid_revenue_is_none(total: object) -> None:
    event = Event(
        id=new_id(),
        site_id=UUID(int=1),
        account_id=UUID(int=2),
        type="order.created",
        occurred_at=NOW,
        captured_at=NOW,
        source="shopify",
        payload={"total": total},
    )
    assert revenue_of(event) is None


async def test_a_stored_conversion_stays_when_later_events_arrive() -> None:
    shop = await shop_with_claims()
    order = shop.order()
    await process(shop.touch("shown", HOUR), order)
    stored, numbers = await conversions_of(shop.shop), await numbers_of(shop.shop)

    await process(shop.touch("clicked", HOUR, claim=1))
    await process(order)

    assert await conversions_of(shop.shop) == stored == [shop.conversion(order, "shown", "shown")]
    assert await numbers_of(shop.shop) == numbers == {"converted_shown": 1}
    assert await redis_counters(shop.shop) == {"converted_shown": 1}
