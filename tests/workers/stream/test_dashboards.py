"""The messages for dashboards, on the real live channel."""

import pytest

from subgraphs.analytics.pipeline.publish_activity import MAX_EVENTS
from tests.fixtures.active_shop import open_shop
from tests.workers.stream.ledgers import messages_of, new_stream

pytestmark = pytest.mark.usefixtures("stores")


async def test_views_are_counted_and_not_listed() -> None:
    shop, stream = await open_shop(), await new_stream()
    await stream.append(shop.page_view("a"), shop.page_view("b"))
    await stream.drain()
    await stream.append(shop.page_view("a"), shop.order())

    await stream.drain()

    views, orders = await messages_of(shop)
    assert (views["counters"], views["events"], views["more"]) == ({"page_views": 2}, [], 0)
    assert orders["counters"] == {"orders": 1, "page_views": 3, "published": 1}
    assert [event["type"] for event in orders["events"]] == ["order.created", "claim.published"]
    assert orders["more"] == 0


async def test_a_batch_makes_one_message_per_site_with_counters_and_latest_events() -> None:
    shop, quiet, stream = await open_shop(), await open_shop(), await new_stream()
    order, other = shop.order(), quiet.order()
    await stream.append(order, other)
    await stream.drain()
    claim_id = shop.claim_id(order)
    seen = [shop.claim_event("shown", claim_id) for _ in range(MAX_EVENTS + 5)]
    await stream.append(*seen, shop.claim_event("clicked", claim_id))

    await stream.drain()

    made, watched = await messages_of(shop)
    text = "Anna bought Shoes 1"
    assert made["counters"] == {"orders": 1, "published": 1}
    assert [(event["type"], event["claimId"], event["text"]) for event in made["events"]] == [
        ("order.created", None, None),
        ("claim.published", str(claim_id), text),
    ]
    assert made["more"] == 0
    assert watched["counters"] == {
        "orders": 1,
        "published": 1,
        "shown": MAX_EVENTS + 5,
        "clicked": 1,
    }
    assert [event["id"] for event in watched["events"][:-1]] == [
        str(event.id) for event in seen[6:]
    ]
    assert watched["events"][-1]["type"] == "claim.clicked"
    assert watched["more"] == 6
    assert len(await messages_of(quiet)) == 1
