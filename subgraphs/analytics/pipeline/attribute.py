"""The step `attribute`: attributes orders and goals to claims.

Of the buyer's touches with claims at this site within `WINDOW` before the order,

    the last click decides                       arm clicked
    without one, the last shown claim decides    arm shown
    without one, the last withheld claim decides arm held_out

and the step adds a `converted` notification event with the order's total as revenue. Without a
touch, or without a known buyer, there is no conversion. Claims are withheld from some visitors to
measure how many buy without them: their conversions are counted separately.

The step attributes an order once, in the transaction that adds it to the ledger, by the touches
known then. When the order is delivered again, the stored conversion stays.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics import ledger
from subgraphs.analytics.ledger import Key, NotificationEvent
from subgraphs.analytics.pipeline.batch import GOAL_REACHED, ORDER_CREATED, Batch
from subgraphs.kernel.ids import derived_id
from subgraphs.kernel.streams.envelope import Event

WINDOW = timedelta(hours=24)
"""How long after a touch an order is attributed to the claim."""

MAX_REVENUE = 10**15
"""Minor units; no order is larger, and sums must fit into 64 bits."""

ARMS = {"clicked": "clicked", "shown": "shown", "withheld": "held_out"}
"""The arm of the A/B comparison by type of touch, the strongest first."""

_MONEY = {ORDER_CREATED: "total", GOAL_REACHED: "value"}
"""The payload's money field by event type."""

# The partial index on (site_id, visitor_id, created_at) finds a visitor's few rows.
_TOUCHES = text("""
    SELECT conversion.position, touch.*
    FROM unnest(CAST(:sites AS uuid[]), CAST(:visitors AS text[]), CAST(:times AS timestamptz[]))
         WITH ORDINALITY AS conversion (site_id, visitor_id, occurred_at, position)
    CROSS JOIN LATERAL (
        SELECT notification_id, claim_id, variant_id, event_type, page, device, country
        FROM notification_events AS n
        WHERE n.site_id = conversion.site_id AND n.visitor_id = conversion.visitor_id
          AND n.created_at <= conversion.occurred_at
          AND n.created_at > conversion.occurred_at - CAST(:window AS interval)
          AND n.event_type = ANY(CAST(:touches AS text[]))
        ORDER BY array_position(CAST(:touches AS text[]), n.event_type), n.created_at DESC,
                 n.id DESC
        LIMIT 1
    ) AS touch
""")


async def attribute(session: AsyncSession, batch: Batch) -> None:
    """Add the conversions of the batch's orders and goals to its notification events."""
    new = [event for event in batch.new_events if _may_convert(event)]
    new_keys = {ledger.key_of(event) for event in new}
    repeated = [event for event in batch.source_events if ledger.key_of(event) not in new_keys]
    keys = [_key_of_conversion(event) for event in repeated if _may_convert(event)]
    stored = await ledger.stored_notification_events(session, keys)
    conversions = await _conversions(session, new)
    batch.new_notification_events += await ledger.add_notification_events(
        session, conversions, more=True
    )
    batch.notification_events += [*conversions, *stored.values()]


def conversion_id(event: Event) -> UUID:
    """The id of the conversion of an order or goal."""
    return derived_id(event.occurred_at, event.id, "converted")


def revenue_of(event: Event) -> tuple[int, str] | None:
    """Minor units and currency of an order or goal; None if the payload has none or is invalid."""
    money = event.payload.get(_MONEY[event.type])
    if not isinstance(money, dict):
        return None
    amount, currency = money.get("amountMinor"), money.get("currency")
    if type(amount) is not int or not 0 <= amount <= MAX_REVENUE:
        return None
    return (amount, currency) if isinstance(currency, str) and len(currency) == 3 else None


def _key_of_conversion(event: Event) -> Key:
    return event.site_id, event.occurred_at, conversion_id(event), "converted"


def _may_convert(event: Event) -> bool:
    return event.type in _MONEY and bool(event.visitor_id)


async def _conversions(session: AsyncSession, events: Sequence[Event]) -> list[NotificationEvent]:
    if not events:
        return []
    values = {
        "sites": [event.site_id for event in events],
        "visitors": [event.visitor_id for event in events],
        "times": [event.occurred_at for event in events],
        "window": WINDOW,
        "touches": list(ARMS),
    }
    touches = await session.execute(_TOUCHES, values)
    return [_conversion(events[touch.position - 1], touch) for touch in touches]


def _conversion(event: Event, touch: Any) -> NotificationEvent:
    amount, currency = revenue_of(event) or (None, None)
    return NotificationEvent(
        id=conversion_id(event),
        created_at=event.occurred_at,
        account_id=event.account_id,
        site_id=event.site_id,
        notification_id=touch.notification_id,
        claim_id=touch.claim_id,
        event_type="converted",
        captured_at=event.captured_at,
        visitor_id=event.visitor_id,
        page=touch.page,
        variant_id=touch.variant_id,
        device=touch.device,
        country=touch.country,
        arm=ARMS[touch.event_type],
        revenue_minor=amount,
        currency=currency,
        source_event_id=event.id,
    )
