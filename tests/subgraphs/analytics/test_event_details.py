"""What an event of the history tells of itself, and what it keeps."""

import msgspec
import pytest

from subgraphs.analytics.schema import schema
from tests.fixtures.active_shop import ActiveShop, open_shop
from tests.fixtures.graph import run
from tests.subgraphs.analytics.demo_days import Morning, happen, minutes, viewed

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
async def morning(shop: ActiveShop) -> Morning:
    morning = Morning(shop)
    await happen(morning.order)
    await happen(morning.shown, morning.clicked, morning.viewed)
    return morning


async def test_of_a_payload_only_what_is_nobodys_secret_is_shown(shop: ActiveShop) -> None:
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
        viewed(shop, 2, payload={"page": "/thanks?email=anna@example.com#top"}),
        viewed(shop, 1, type="goal.reached", payload=goal),
    ]
    await happen(*events)

    sites = [{"__typename": "Site", "id": str(shop.site_id)}]
    asked = {"types": ["order.created", "page.viewed", "goal.reached"]}
    answer = await run(schema, shop.owner, DETAILS, sites=sites, filter=asked)

    nothing = dict.fromkeys(("visitorId", "page", "goal", "arm", "claim", "value", "order"))
    assert [it["node"] for it in answer.data["_entities"][0]["events"]["edges"]] == [
        {
            **nothing,
            "type": "page.viewed",
            "source": "snippet",
            "visitorId": "visitor",
            "page": "/thanks",
        },
        {
            **nothing,
            "type": "goal.reached",
            "source": "snippet",
            "visitorId": "visitor",
            "goal": "newsletter",
            "value": {"amountMinor": 250, "currency": "EUR"},
        },
        {
            **nothing,
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
            **nothing,
            "type": "order.created",
            "source": "shopify",
            "order": dict.fromkeys(("orderName", "product", "quantity", "total")),
        },
    ]


async def test_a_conversion_tells_what_it_brought_and_what_led_to_it(
    shop: ActiveShop, morning: Morning
) -> None:
    payload = {"product": "Shoes", "total": {"amountMinor": 8900, "currency": "EUR"}}
    bought = msgspec.structs.replace(
        shop.order(2, placed=minutes(30)), visitor_id="visitor", payload=payload
    )
    await happen(bought)

    sites = [{"__typename": "Site", "id": str(shop.site_id)}]
    asked = {"types": ["claim.converted"]}
    answer = await run(schema, shop.owner, DETAILS, sites=sites, filter=asked)

    assert [it["node"] for it in answer.data["_entities"][0]["events"]["edges"]] == [
        {
            "type": "claim.converted",
            "source": None,
            "visitorId": "visitor",
            "page": "/shoes",
            "goal": None,
            "arm": "CLICKED",
            "claim": {"id": str(morning.claim_id)},
            "value": {"amountMinor": 8900, "currency": "EUR"},
            "order": None,
        }
    ]
