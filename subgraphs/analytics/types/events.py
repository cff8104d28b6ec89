"""What the graph shows of what happened: never more of a payload than is said here."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Any, Self

import strawberry
from strawberry.federation.schema_directives import Key
from strawberry.federation.types import FieldSet

from subgraphs.analytics import site_events
from subgraphs.kernel.graphql.connections import Connection, Edge, PageInfo
from subgraphs.kernel.graphql.types import BigInt, Money, to_id, to_uuid


@strawberry.federation.type(keys=[Key(fields=FieldSet("id"), resolvable=False)])
class Claim:
    id: strawberry.ID


@strawberry.enum(description="What the buyer had to do with the claim before.")
class ConversionArm(Enum):
    CLICKED = "clicked"
    SHOWN = "shown"
    HELD_OUT = "held_out"


@strawberry.input(description="Which of what happened; what is left out is left open.")
class SiteEventFilter:
    types: list[str] | None = strawberry.field(
        default=None,
        description="Like `order.created`, `page.viewed`, `claim.shown`; up to 20.",
    )
    since: datetime | None = strawberry.field(
        default=None,
        description="Left out, a search by `types` or `visitorId` alone goes back 31 days, from "
        "`until` or from now.",
    )
    until: datetime | None = strawberry.field(default=None, description="Not included itself.")
    claim_id: strawberry.ID | None = None
    notification_id: strawberry.ID | None = None
    visitor_id: str | None = None

    def checked(self) -> site_events.Filter:
        return site_events.Filter(
            types=tuple(sorted(set(self.types))) if self.types is not None else None,
            since=self.since,
            until=self.until,
            claim_id=to_uuid(self.claim_id) if self.claim_id else None,
            notification_id=to_uuid(self.notification_id) if self.notification_id else None,
            visitor_id=self.visitor_id,
        )


@strawberry.type
class OrderFacts:
    """What was bought; who bought it stays in the ledger."""

    order_name: str | None
    product: str | None
    quantity: BigInt | None
    total: Money | None

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
    """A fact from outside (`order.created`) or about a claim (`claim.shown`).

    Names and places of buyers are not in it, and an address is told without its query.
    """

    id: strawberry.ID
    type: str
    occurred_at: datetime
    captured_at: datetime
    source: str | None = strawberry.field(description="Where a fact from outside came from.")
    visitor_id: str | None = strawberry.field(description="What the shop's pages call a visitor.")
    page: str | None
    order: OrderFacts | None
    goal: str | None
    value: Money | None = strawberry.field(
        description="What a goal reached is worth, or what a conversion brought."
    )
    arm: ConversionArm | None = strawberry.field(description="Of a `claim.converted`.")
    claim: Claim | None

    @classmethod
    def of(cls, entry: site_events.Entry) -> Self:
        payload = entry.payload or {}
        prefix = site_events.CLAIM_PREFIX if entry.about_claim else ""
        is_order = not entry.about_claim and entry.event_type.startswith("order.")
        return cls(
            id=to_id(entry.id),
            type=prefix + entry.event_type,
            occurred_at=entry.time,
            captured_at=entry.captured_at,
            source=entry.source,
            visitor_id=entry.visitor_id,
            page=_without_query(entry.page or payload.get("page")),
            order=OrderFacts.of(payload) if is_order else None,
            goal=_text(payload.get("goal")),
            value=_revenue(entry) or _money(payload.get("value")),
            arm=ConversionArm(entry.arm) if entry.arm else None,
            claim=Claim(id=to_id(entry.claim_id)) if entry.claim_id else None,
        )


def connection(page: site_events.Page, asked: site_events.Asked) -> Connection[SiteEvent]:
    edges = [
        Edge(cursor=site_events.to_cursor(entry.place), node=SiteEvent.of(entry))
        for entry in page.entries
    ]
    info = PageInfo(
        has_next_page=page.has_next,
        has_previous_page=asked.after is not None,
        start_cursor=edges[0].cursor if edges else None,
        end_cursor=edges[-1].cursor if edges else None,
    )
    return Connection(edges=edges, page_info=info)


def _revenue(entry: site_events.Entry) -> Money | None:
    if entry.revenue_minor is None or entry.currency is None:
        return None
    return Money(amount_minor=BigInt(entry.revenue_minor), currency=entry.currency)


# A payload is what a shop sent: each value is looked at before it is shown.


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
    """An address as far as it tells where; a query may name who."""
    return page.partition("?")[0].partition("#")[0] if isinstance(page, str) else None
