"""GraphQL types of events. A payload is personal data, so only the fields named here are shown."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Any, Self

import strawberry
from strawberry.federation.schema_directives import Key
from strawberry.federation.types import FieldSet

from subgraphs.analytics.site_events.query import CLAIM_PREFIX, MAX_TEXT, MAX_TYPES, EventFilter
from subgraphs.analytics.site_events.service import SiteEventRow
from subgraphs.kernel.graphql.types import BigInt, Money, to_id, to_uuid


@strawberry.federation.type(keys=[Key(fields=FieldSet("id"), resolvable=False)])
class Claim:
    id: strawberry.ID


@strawberry.enum(
    description="What the visitor did with the claim before the conversion: CLICKED it, was SHOWN "
    "it and did not click, or was HELD_OUT, as part of the control group."
)
class ConversionArm(Enum):
    CLICKED = "clicked"
    SHOWN = "shown"
    HELD_OUT = "held_out"


@strawberry.input(
    description="Conditions that events must meet, all of them. An omitted field is no condition."
)
class SiteEventFilter:
    types: list[str] | None = strawberry.field(
        default=None,
        description="Event types, like `order.created`, `page.viewed` or `claim.shown`: 1 to "
        f"{MAX_TYPES}.",
    )
    since: datetime | None = strawberry.field(
        default=None,
        description="The earliest time, inclusive. If omitted, a search by `types` or `visitorId` "
        "alone covers the 31 days before `until` or before now.",
    )
    until: datetime | None = strawberry.field(
        default=None, description="The latest time, exclusive."
    )
    claim_id: strawberry.ID | None = strawberry.field(
        default=None, description="Only events about this claim."
    )
    notification_id: strawberry.ID | None = strawberry.field(
        default=None, description="Only events about claims of this notification."
    )
    visitor_id: str | None = strawberry.field(
        default=None,
        description="Only events of this visitor; the snippet assigns the ID. At most "
        f"{MAX_TEXT} characters.",
    )

    def to_filter(self) -> EventFilter:
        return EventFilter(
            types=tuple(sorted(set(self.types))) if self.types is not None else None,
            since=self.since,
            until=self.until,
            claim_id=to_uuid(self.claim_id) if self.claim_id else None,
            notification_id=to_uuid(self.notification_id) if self.notification_id else None,
            visitor_id=self.visitor_id,
        )


@strawberry.type
class OrderFacts:
    """What was ordered. The buyer's personal data is not included.

    A field is null if the shop did not send it.
    """

    order_name: str | None = strawberry.field(description="The shop's name of the order, `#1001`.")
    product: str | None = strawberry.field(description="The title of the product.")
    quantity: BigInt | None = strawberry.field(description="Units ordered.")
    total: Money | None = strawberry.field(description="The total of the order.")

    @classmethod
    def of(cls, payload: dict[str, Any]) -> Self:
        return cls(
            order_name=_text(payload.get("orderName")),
            product=_text(payload.get("product")),
            quantity=_count(payload.get("quantity")),
            total=_money(payload.get("total")),
        )


@strawberry.type
class SiteEvent:
    """A source event (`order.created`) or a notification event (`claim.shown`).

    Buyers' names and locations are not included.
    """

    id: strawberry.ID
    type: str = strawberry.field(
        description="The event type; types of notification events begin with `claim.`."
    )
    occurred_at: datetime = strawberry.field(description="When the event happened in the shop.")
    captured_at: datetime = strawberry.field(description="When Proofgraph received the event.")
    source: str | None = strawberry.field(
        description="The origin of a source event, like `shopify`; null for notification events."
    )
    visitor_id: str | None = strawberry.field(
        description="The ID that the snippet assigned to the visitor; null if there was none."
    )
    page: str | None = strawberry.field(
        description="The page of the event, without query and fragment; null if there was none."
    )
    order: OrderFacts | None = strawberry.field(
        description="The order; null unless the type begins with `order.`."
    )
    goal: str | None = strawberry.field(
        description="The name of the goal; null unless the type is `goal.reached`."
    )
    value: Money | None = strawberry.field(
        description="The value of a reached goal or the revenue of a conversion; otherwise null."
    )
    arm: ConversionArm | None = strawberry.field(
        description="What the visitor did with the claim; null unless the type is "
        "`claim.converted`."
    )
    claim: Claim | None = strawberry.field(
        description="The claim of a notification event; null for source events."
    )

    @classmethod
    def of(cls, row: SiteEventRow) -> Self:
        payload = row.payload or {}
        prefix = CLAIM_PREFIX if row.about_claim else ""
        is_order = not row.about_claim and row.event_type.startswith("order.")
        return cls(
            id=to_id(row.id),
            type=prefix + row.event_type,
            occurred_at=row.time,
            captured_at=row.captured_at,
            source=row.source,
            visitor_id=row.visitor_id,
            page=_without_query(row.page or payload.get("page")),
            order=OrderFacts.of(payload) if is_order else None,
            goal=_text(payload.get("goal")),
            value=_revenue(row) or _money(payload.get("value")),
            arm=ConversionArm(row.arm) if row.arm else None,
            claim=Claim(id=to_id(row.claim_id)) if row.claim_id else None,
        )


def _revenue(row: SiteEventRow) -> Money | None:
    if row.revenue_minor is None or row.currency is None:
        return None
    return Money(amount_minor=BigInt(row.revenue_minor), currency=row.currency)


# A shop may send any payload, so each value is checked before it is shown.


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _count(value: object) -> BigInt | None:
    return BigInt(value) if isinstance(value, int) else None


def _money(value: object) -> Money | None:
    match value:
        case {"amountMinor": int(amount), "currency": str(currency)}:
            return Money(amount_minor=BigInt(amount), currency=currency)
    return None


def _without_query(page: object) -> str | None:
    """A page's address without query and fragment, which may contain personal data."""
    return page.partition("?")[0].partition("#")[0] if isinstance(page, str) else None
