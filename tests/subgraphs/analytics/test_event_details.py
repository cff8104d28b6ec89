"""Which fields of an event are shown, and which are withheld."""

import msgspec
import pytest

from subgraphs.analytics.schema import schema
from tests.fixtures.active_shop import ActiveShop, open_shop
from tests.fixtures.graph import run
from tests.subgraphs.analytics.sample_events import SampleEvents, minutes, page_view, process

pytestmark = pytest.mark.usefixtures("stores")

DETAILS = """
query($sites: [_Any!]!, $filter: SiteEventFilter) {
  _entities(representations: $sites) {
    ... on Site {
      events(filter: $filter) {
        edges {
          node {
            type source visitorId page goal arm claim { id } value { amountMinor currency }
            order { orderName product quantity total { amountMinor currency } }
          }
        }
      }
    }
  }
}"""


@pytest.fixture
async def shop() -> ActiveShop:
    return await open_shop()


@pytest.fixture
async def sample(shop: ActiveShop) -> SampleEvents:
    sample = SampleEvents(shop)
    await process(sample.order)
    await process(sample.shown, sample.clicked, sample.viewed)
    return sample


async def test_payload_shows_no_personal_data(shop: ActiveShop) -> None:
    payload = {
        "orderId": "17",
        "orderName": "#1001",
        "firstName": "Anna",
        "city": "Oslo",
        "product": "Blue Shoes",
        "quantity": 2,
        "total": {"amountMinor": 9_000_000_000, "currency": "VND"},
    }
    order = msgspec.structs.replace(shop.order(1, placed=minutes(0)), payload=payload)
    strange = msgspec.structs.replace(
        shop.order(2, placed=minutes(-1)),
        payload={"product": {"a": 1}, "quantity": "two", "total": {"amountMinor": "x"}},
    )
    goal = {"goal": "newsletter", "value": {"amountMinor": 250, "currency": "EUR"}}
    events = [
        order,
        strange,
        page_view(shop, 2, payload={"page": "/thanks?email=anna@example.com#top"}),
        page_view(shop, 1, type="goal.reached", payload=goal),
    ]
    await process(*events)

    sites = [{"__typename": "Site", "id": str(shop.site_id)}]
    filter_ = {"types": ["order.created", "page.viewed", "goal.reached"]}
    answer = await run(schema, shop.owner, DETAILS, sites=sites, filter=filter_)

    no_details = dict.fromkeys(("visitorId", "page", "goal", "arm", "claim", "value", "order"))
    assert [it["node"] for it in answer.data["_entities"][0]["events"]["edges"]] == [
        {
            **no_details,
            "type": "page.viewed",
            "source": "snippet",
            "visitorId": "visitor",
            "page": "/thanks",
        },
        {
            **no_details,
            "type": "goal.reached",
            "source": "snippet",
            "visitorId": "visitor",
            "goal": "newsletter",
            "value": {"amountMinor": 250, "currency": "EUR"},
        },
        {
            **no_details,
            "type": "order.created",
            "source": "shopify",
            "order": {
                "orderName": "#1001",
                "product": "Blue Shoes",
                "quantity": 2,
                "total": {"amountMinor": 9_000_000_000, "currency": "VND"},
            },
        },
        {
            **no_details,
            "type": "order.created",
            "source": "shopify",
            "order": dict.fromkeys(("orderName", "product", "quantity", "total")),
        },
    ]


async def test_conversion_shows_its_revenue_and_claim(
    shop: ActiveShop, sample: SampleEvents
) -> None:
    payload = {"product": "Shoes", "total": {"amountMinor": 8900, "currency": "EUR"}}
    bought = msgspec.structs.replace(
        shop.order(2, placed=minutes(30)), visitor_id="visitor", payload=payload
    )
    await process(bought)

    sites = [{"__typename": "Site", "id": str(shop.site_id)}]
    filter_ = {"types": ["claim.converted"]}
    answer = await run(schema, shop.owner, DETAILS, sites=sites, filter=filter_)

    assert [it["node"] for it in answer.data["_entities"][0]["events"]["edges"]] == [
        {
            "type": "claim.converted",
            "source": None,
            "visitorId": "visitor",
            "page": "/shoes",
            "goal": None,
            "arm": "CLICKED",
            "claim": {"id": str(sample.claim_id)},
            "value": {"amountMinor": 8900, "currency": "EUR"},
            "order": None,
        }
    ]
