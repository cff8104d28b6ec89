"""What may have happened at a shop two hours ago, for tests of what is told of it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec

from subgraphs.kernel.streams.envelope import Event
from tests.fixtures.active_shop import ActiveShop
from tests.workers.stream.ledgers import new_stream

NOON = (datetime.now(UTC) - timedelta(hours=2)).replace(microsecond=0)


def minutes(count: float) -> datetime:
    return NOON + timedelta(minutes=count)


async def happen(*events: Event) -> None:
    stream = await new_stream()
    await stream.append(*events)
    await stream.drain()


def viewed(shop: ActiveShop, number: float, **fields: Any) -> Event:
    event = shop.claim_event("shown", uuid4(), at=minutes(number))
    return msgspec.structs.replace(
        event, **{"type": "page.viewed", "payload": {"page": "/shoes"}, **fields}
    )


class Morning:
    """An order, what became of its claim, and a page that was looked at."""

    def __init__(self, shop: ActiveShop) -> None:
        self.order = shop.order(1, placed=minutes(0))
        self.claim_id = shop.claim_id(self.order)
        self.shown = shop.claim_event("shown", self.claim_id, at=minutes(10))
        self.clicked = shop.claim_event("clicked", self.claim_id, at=minutes(20))
        self.viewed = viewed(shop, 15, visitor_id="another")
