"""The step `attribute`: which claim an order, or another goal, is owed to.

Of what the buyer had to do with claims at this site within `WINDOW` before the order,

    the last click decides                        arm clicked
    without one, the last claim that was shown    arm shown
    without one, the last that was withheld       arm held_out

and becomes a `converted` with the order's total as revenue. Nothing of these, or an order whose
buyer is not known: no conversion. Held-out visitors were kept from the claim to see who buys
without it: their conversions are counted apart and never among the others.

An order is decided on once, with what has reached us by then, in the transaction that writes it
down. When it comes again the stored decision is taken, whatever has come since.
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
"""How long a claim is given the credit for what its viewer buys."""

MOST_REVENUE = 10**15
"""Minor units; more is no order's total, and sums have to fit into 64 bits."""

ARMS = {"clicked": "clicked", "shown": "shown", "withheld": "held_out"}
"""Which arm of a comparison each touch is evidence of, the strongest first."""

_MONEY = {ORDER_CREATED: "total", GOAL_REACHED: "value"}
"""Where the payload of each kind of conversion has its worth."""

# The partial index on (site_id, visitor_id, created_at) finds a visitor's few rows.
_TOUCHES = text("""
    SELECT conversion.place, touch.*
    FROM unnest(CAST(:sites AS uuid[]), CAST(:visitors AS text[]), CAST(:moments AS timestamptz[]))
         WITH ORDINALITY AS conversion (site_id, visitor_id, moment, place)
    CROSS JOIN LATERAL (
        SELECT notification_id, claim_id, variant_id, event_type, page, device, country
        FROM notification_events AS n
        WHERE n.site_id = conversion.site_id AND n.visitor_id = conversion.visitor_id
          AND n.created_at <= conversion.moment
          AND n.created_at > conversion.moment - CAST(:window AS interval)
          AND n.event_type = ANY(CAST(:touches AS text[]))
        ORDER BY array_position(CAST(:touches AS text[]), n.event_type), n.created_at DESC,
                 n.id DESC
        LIMIT 1
    ) AS touch
""")


async def attribute(session: AsyncSession, batch: Batch) -> None:
    """Add the conversions behind a batch's orders and goals to what happened."""
    new = [event for event in batch.new_events if _may_convert(event)]
    fresh = {ledger.key_of(event) for event in new}
    repeated = [event for event in batch.source_events if ledger.key_of(event) not in fresh]
    old = list(filter(_may_convert, repeated))
    decided = await ledger.stored_notification_events(session, list(map(_key_of_conversion, old)))
    made = await _made(session, new)
    batch.new_notification_events += await ledger.add_notification_events(session, made, more=True)
    batch.notification_events += [*made, *decided.values()]


def conversion_id(event: Event) -> UUID:
    """The id of the conversion that an order or goal makes."""
    return derived_id(event.occurred_at, event.id, "converted")


def revenue_of(event: Event) -> tuple[int, str] | None:
    """What a conversion is worth, in minor units and a currency; None where it doesn't say."""
    money = event.payload.get(_MONEY[event.type])
    if not isinstance(money, dict):
        return None
    amount, currency = money.get("amountMinor"), money.get("currency")
    if type(amount) is not int or not 0 <= amount <= MOST_REVENUE:
        return None
    return (amount, currency) if isinstance(currency, str) and len(currency) == 3 else None


def _key_of_conversion(event: Event) -> Key:
    return event.site_id, event.occurred_at, conversion_id(event), "converted"


def _may_convert(event: Event) -> bool:
    return event.type in _MONEY and bool(event.visitor_id)


async def _made(session: AsyncSession, events: Sequence[Event]) -> list[NotificationEvent]:
    if not events:
        return []
    values = {
        "sites": [event.site_id for event in events],
        "visitors": [event.visitor_id for event in events],
        "moments": [event.occurred_at for event in events],
        "window": WINDOW,
        "touches": list(ARMS),
    }
    touches = await session.execute(_TOUCHES, values)
    return [_converted(events[touch.place - 1], touch) for touch in touches]


def _converted(event: Event, touch: Any) -> NotificationEvent:
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
