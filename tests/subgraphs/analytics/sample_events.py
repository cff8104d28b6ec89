"""Events of a shop two hours ago, for tests of the list of events."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec

from subgraphs.kernel.streams.envelope import Event
from tests.fixtures.active_shop import ActiveShop
from tests.workers.stream.ledgers import new_stream

BASE_TIME = (datetime.now(UTC) - timedelta(hours=2)).replace(microsecond=0)


def minutes(count: float) -> datetime:
    """A time so many minutes after BASE_TIME."""
    return BASE_TIME + timedelta(minutes=count)


async def process(*events: Event) -> None:
    """Append events to a new stream, and run the stream worker until it is empty."""
    stream = await new_stream()
    await stream.append(*events)
    await stream.drain()


def page_view(shop: ActiveShop, number: float, **fields: Any) -> Event:
    """A page view so many minutes after BASE_TIME."""
    event = shop.claim_event("shown", uuid4(), at=minutes(number))
    return msgspec.structs.replace(
        event, **{"type": "page.viewed", "payload": {"page": "/shoes"}, **fields}
    )


class SampleEvents:
    """An order, the events of its claim, and a page view of another visitor."""

    def __init__(self, shop: ActiveShop) -> None:
        self.order = shop.order(1, placed=minutes(0))
        self.claim_id = shop.claim_id(self.order)
        self.shown = shop.claim_event("shown", self.claim_id, at=minutes(10))
        self.clicked = shop.claim_event("clicked", self.claim_id, at=minutes(20))
        self.viewed = page_view(shop, 15, visitor_id="another")
