"""An A/B test and orders, and every figure of the analytics that a merchant can query."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import uuid4

import httpx
import pytest

from deploy.local.demo.merchant import ApiError, DemoMerchant, Shop
from deploy.local.demo.shopify import deliver, order
from deploy.local.demo.visitor import AGENT
from tests.fixtures.deadline import eventually
from tests.journeys.conftest import claims_of, new_merchant

CREATE_TEST = """
mutation($input: CreateABTestInput!) { createABTest(input: $input) { id variants { id name } } }"""
START_TEST = "mutation($id: ID!) { startABTest(id: $id) { status } }"
STOP_TEST = "mutation($id: ID!) { stopABTest(id: $id) { status } }"

FIGURES = """
query($site: ID!, $notification: ID!, $start: DateTime!, $end: DateTime!) {
  site(id: $site) {
    analytics(start: $start, end: $end, granularity: DAY, groupBy: NOTIFICATION) {
      totals { orders shown clicked converted }
      revenue { amountMinor currency }
      groups { notification { name } totals { shown } }
      other { totals { orders shown } }
    }
    devices: analytics(start: $start, end: $end, groupBy: DEVICE, metrics: [SHOWN, CLICKED]) {
      groups { key totals { orders shown clicked } }
    }
    funnel(start: $start, end: $end) {
      shown clicked converted clickRate { value } revenue { amountMinor currency }
      heldOut { exposed converted }
    }
    topPages(start: $start, end: $end) { page performance { counters { shown pageViews } } }
    events(first: 3, filter: { types: ["claim.converted", "claim.clicked", "claim.shown"] }) {
      edges { node { type page arm claim { text variant { name } } value { amountMinor } } }
      pageInfo { hasNextPage }
    }
  }
  notification(id: $notification) {
    stats(start: $start, end: $end) {
      counters { published shown } conversionRate { value } revenue { amountMinor currency }
    }
    abTests {
      edges {
        node {
          status
          results {
            variants {
              variant { name }
              performance { counters { shown clicked converted } clickRate { value low high } }
            }
          }
        }
      }
    }
  }
}"""

FOREIGN = {
    "funnel": "site(id: $site) { funnel(start: $start, end: $end) { shown } }",
    "topPages": "site(id: $site) { topPages(start: $start, end: $end) { page } }",
    "liveVisitors": "site(id: $site) { liveVisitors }",
    "events": "site(id: $site) { events { edges { node { id } } } }",
    "stats": "notification(id: $id) { stats(start: $start, end: $end) { counters { shown } } }",
    "abTest": "abTest(id: $test) { results { variants { variant { id } } } }",
}
FOREIGN_CHANGES = {"createABTest": CREATE_TEST, "startABTest": START_TEST, "stopABTest": STOP_TEST}


async def start_ab_test(merchant: DemoMerchant, shop: Shop) -> str:
    variants = [{"name": "short", "body": "{{ product }} sold"}, {"name": "own"}]
    test_input = {"notificationId": shop.notification_id, "name": "Template", "variants": variants}
    test = (await merchant.execute(CREATE_TEST, {"input": test_input}))["createABTest"]
    await merchant.execute(START_TEST, {"id": test["id"]})
    return str(test["id"])


async def report_events(client: httpx.AsyncClient, shop: Shop, *events: dict[str, Any]) -> None:
    """Send events as the snippet on a visitor's page does."""
    body = {"siteKey": shop.site_key, "events": [{"id": str(uuid4()), **it} for it in events]}
    response = await client.post("/v1/events", json=body, headers={"User-Agent": AGENT})
    assert response.status_code == 202, response.text


async def place_order(
    client: httpx.AsyncClient, shop: Shop, number: int, placed: datetime, visitor: str | None
) -> str:
    """Place an order of a visitor; returns the price."""
    payload = order(number=number, placed=placed, rng=Random(number))
    if visitor:
        payload["note_attributes"] = [{"name": "proofgraph_visitor", "value": visitor}]
    response = await deliver(client, shop.hook_url, shop.hook_secret, payload)
    assert response.status_code == 200
    return str(payload["total_price"])


async def test_every_figure_is_exact_and_no_other_tenant_reads_it(
    public: httpx.AsyncClient, merchant: DemoMerchant, shop: Shop
) -> None:
    now = datetime.now(UTC)
    start = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    span = {"start": start.isoformat(), "end": (now + timedelta(hours=1)).isoformat()}
    test_id = await start_ab_test(merchant, shop)
    await place_order(public, shop, 1, now - timedelta(minutes=10), None)
    (claim,) = await eventually(lambda: claims_of(merchant, shop), lambda found: len(found) == 1)
    about = {"claimId": claim["id"], "page": "/shoes?colour=blue", "visitorId": "visitor-1"}
    # After the start of the A/B test, whose results count from that hour on.
    seen = datetime.now(UTC)
    viewed, shown, clicked = ((seen + timedelta(milliseconds=n)).isoformat() for n in range(3))
    await report_events(
        public,
        shop,
        {**about, "type": "shown", "occurredAt": shown},
        {**about, "type": "clicked", "occurredAt": clicked},
        {"type": "page.viewed", "page": "/shoes?colour=blue", "occurredAt": viewed},
    )
    variables = {"site": shop.site_id, "notification": shop.notification_id, **span}

    async def figures() -> Any:
        return await merchant.execute(FIGURES, variables)

    await eventually(figures, lambda found: found["site"]["funnel"]["clicked"] == 1)
    after = seen + timedelta(seconds=2)  # Shopify sends whole seconds
    price = await place_order(public, shop, 2, after, "visitor-1")
    await eventually(
        figures,
        lambda found: (
            found["site"]["funnel"]["converted"] == 1
            and found["notification"]["stats"]["counters"]["published"] == 2
        ),
    )
    found = await figures()  # the fields of one response are read one after the other

    paid = round(float(price) * 100)
    revenue = [{"amountMinor": paid, "currency": "EUR"}]
    site = found["site"]
    assert site["analytics"] == {
        "totals": {"orders": 2, "shown": 1, "clicked": 1, "converted": 1},
        "revenue": revenue,
        "groups": [{"notification": {"name": "Recent orders"}, "totals": {"shown": 1}}],
        "other": {"totals": {"orders": 2, "shown": 0}},
    }
    assert site["devices"]["groups"] == [
        {"key": "desktop", "totals": {"orders": None, "shown": 1, "clicked": 1}}
    ]
    assert site["funnel"] == {
        "shown": 1,
        "clicked": 1,
        "converted": 1,
        "clickRate": {"value": 1.0},
        "revenue": revenue,
        "heldOut": {"exposed": 0, "converted": 0},
    }
    (top,) = site["topPages"]
    assert top["performance"] == {"counters": {"shown": 1, "pageViews": 1}}
    test = found["notification"]["abTests"]["edges"][0]["node"]
    (chosen,) = {it["node"]["claim"]["variant"]["name"] for it in site["events"]["edges"]}
    shown_claim = {"text": claim["text"], "variant": {"name": chosen}}
    event = {"page": "/shoes", "arm": None, "claim": shown_claim, "value": None}
    assert [edge["node"] for edge in site["events"]["edges"]] == [
        {**event, "type": "claim.converted", "arm": "CLICKED", "value": {"amountMinor": paid}},
        {**event, "type": "claim.clicked"},
        {**event, "type": "claim.shown"},
    ]
    assert site["events"]["pageInfo"] == {"hasNextPage": False}
    assert found["notification"]["stats"] == {
        "counters": {"published": 2, "shown": 1},
        "conversionRate": {"value": 1.0},
        "revenue": revenue,
    }
    nothing = {"counters": {"shown": 0, "clicked": 0, "converted": 0}, "clickRate": None}
    whole = {"value": 1.0, "low": pytest.approx(0.2065, abs=1e-4), "high": pytest.approx(1.0)}
    all_ = {"counters": {"shown": 1, "clicked": 1, "converted": 1}, "clickRate": whole}
    assert test["status"] == "RUNNING"
    assert {it["variant"]["name"]: it["performance"] for it in test["results"]["variants"]} == {
        "short": nothing,
        "own": nothing,
    } | {chosen: all_}
    await check_that_no_other_tenant_may(public, shop, test_id, span)


async def check_that_no_other_tenant_may(
    client: httpx.AsyncClient, shop: Shop, test_id: str, span: dict[str, str]
) -> None:
    other = await new_merchant(client)
    ids = {"site": shop.site_id, "id": shop.notification_id, "test": test_id, **span}
    for name, field in FOREIGN.items():
        used = [variable for variable in ids if f"${variable}" in field]
        kinds = {it: "DateTime!" if it in span else "ID!" for it in used}
        header = ", ".join(f"${variable}: {kind}" for variable, kind in kinds.items())
        document = f"query{f'({header})' if header else ''} {{ {field} }}"
        with pytest.raises(ApiError) as refused:
            await other.execute(document, {variable: ids[variable] for variable in used})
        assert refused.value.codes == ["NOT_FOUND"], name
    variants = [{"name": "a"}, {"name": "b"}]
    test_input = {"notificationId": shop.notification_id, "name": "Mine", "variants": variants}
    for name, document in FOREIGN_CHANGES.items():
        with pytest.raises(ApiError) as refused:
            await other.execute(
                document, {"input": test_input} if name == "createABTest" else {"id": test_id}
            )
        assert refused.value.codes == ["NOT_FOUND"], name
