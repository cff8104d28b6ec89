"""The first order of a new merchant: the toast, the click on it, and the analytics."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from deploy.local.demo.merchant import ANALYTICS, DemoMerchant, Shop
from deploy.local.demo.shopify import deliver, demo_orders
from deploy.local.demo.subscriber import subscribe_to_claims
from deploy.local.demo.visitor import DemoVisitor, visit
from tests.fixtures.deadline import eventually
from tests.journeys.conftest import SCREENSHOTS, Running, counted

NOTHING = {"orders": 0, "published": 0, "shown": 0, "clicked": 0, "dismissed": 0}


@pytest.fixture
async def visitor(running: Running, shop: Shop) -> AsyncIterator[DemoVisitor]:
    async with visit(f"{running.url}/demo/shop.html?key={shop.site_key}") as visitor:
        await visitor.wait_for("ready", seconds=15)
        yield visitor


async def test_an_order_becomes_a_toast_that_is_clicked_and_counted(
    running: Running,
    public: httpx.AsyncClient,
    merchant: DemoMerchant,
    shop: Shop,
    visitor: DemoVisitor,
) -> None:
    (order,) = demo_orders(1, until=datetime.now(UTC))
    buyer = order["customer"]["first_name"]
    product = order["line_items"][0]["title"]
    assert await counted(merchant, shop) == NOTHING

    async with subscribe_to_claims(running.url, shop.site_key, after="0-0") as claims:
        response = await deliver(public, shop.hook_url, shop.hook_secret, order)
        claim = await anext(claims)

    await visitor.wait_for("shown", claim["id"], seconds=15)
    await visitor.page.screenshot(path=SCREENSHOTS / f"toast-{running.name}.png")
    toast = visitor.page.locator("proofgraph-toast")
    text = await toast.locator(".text").inner_text()
    await toast.locator(".text").click()
    await visitor.wait_for("clicked", claim["id"], seconds=5)

    assert response.status_code == 200
    assert text == claim["text"]
    assert text == f"{buyer} from {order['shipping_address']['city']} bought {product}"
    assert order["customer"]["last_name"] not in text
    assert await eventually(
        lambda: counted(merchant, shop), lambda totals: totals["clicked"] == 1
    ) == {"orders": 1, "published": 1, "shown": 1, "clicked": 1, "dismissed": 0}


@pytest.mark.one_gateway
async def test_claims_are_counted_in_the_hour_of_their_publication(
    public: httpx.AsyncClient, merchant: DemoMerchant, shop: Shop
) -> None:
    before = datetime.now(UTC)
    orders = list(demo_orders(3, until=before))
    for order in orders:
        await deliver(public, shop.hook_url, shop.hook_secret, order)
    await eventually(lambda: counted(merchant, shop), lambda totals: totals["published"] == 3)

    now = datetime.now(UTC)
    first, last = (at.replace(minute=0, second=0, microsecond=0) for at in (before, now))
    start = first - timedelta(hours=3)
    span = {"id": shop.site_id, "start": start.isoformat(), "end": now.isoformat()}
    analytics = (await merchant.execute(ANALYTICS, span))["site"]["analytics"]

    points = {point["start"]: point["counters"]["published"] for point in analytics["points"]}
    assert points[first.isoformat()] + (points[last.isoformat()] if last > first else 0) == 3
    assert sum(points.values()) == 3
    assert len(points) == (last - start) // timedelta(hours=1) + 1
