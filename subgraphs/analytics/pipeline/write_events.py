"""The steps `write_events` and `write_notification_events`: adds a batch's rows to the ledger."""

from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics import ledger
from subgraphs.analytics.ledger import NotificationEvent
from subgraphs.analytics.pipeline.batch import CLAIM_EVENTS, Batch, Claim, Drop, claim_name_of
from subgraphs.kernel.ids import derived_id, moment_of
from subgraphs.kernel.streams.envelope import Event


async def write_events(session: AsyncSession, batch: Batch) -> None:
    """Add the source events to the ledger; continue with the stored row where one exists."""
    source_events = batch.source_events
    batch.new_events = await ledger.add_events(session, source_events)
    if len(batch.new_events) == len(source_events):
        return
    known = set(map(ledger.key_of, source_events)).difference(map(ledger.key_of, batch.new_events))
    stored = await ledger.stored_events(session, list(known))
    for item in batch.items:
        if event := item.live:
            item.event = stored.get(ledger.key_of(event), event)


async def write_notification_events(session: AsyncSession, batch: Batch) -> None:
    """Add the notification events to the ledger, and count the new ones there.

    They are `published` of each new claim, and what visitors did with claims. Where a row exists
    already, the pipeline continues with the stored row.
    """
    rows = [_published(claim) for claim in batch.made]
    for item in batch.items:
        if not item.event or item.drop or item.event.type not in CLAIM_EVENTS:
            continue
        claim = batch.mentioned.get(claim_name_of(item.event))
        if claim is None or claim.site_id != item.event.site_id:
            item.drop = Drop.UNKNOWN_CLAIM
        else:
            rows.append(_of_visitor(item.event, claim))
    batch.notification_events = rows
    batch.new_notification_events = await ledger.add_notification_events(session, rows)
    if len(batch.new_notification_events) == len(rows):
        return
    known = {it.key for it in rows}.difference(it.key for it in batch.new_notification_events)
    stored = await ledger.stored_notification_events(session, list(known))
    batch.notification_events = [stored.get(it.key, it) for it in rows]


def _published(claim: Claim) -> NotificationEvent:
    return NotificationEvent(
        id=derived_id(moment_of(claim.id), claim.id, "published"),
        created_at=claim.published_at,
        account_id=claim.account_id,
        site_id=claim.site_id,
        notification_id=claim.notification_id,
        claim_id=claim.id,
        event_type="published",
        captured_at=claim.published_at,
        variant_id=claim.variant_id,
    )


def _of_visitor(event: Event, claim: Claim) -> NotificationEvent:
    return NotificationEvent(
        id=event.id,
        created_at=event.occurred_at,
        account_id=claim.account_id,
        site_id=claim.site_id,
        notification_id=claim.notification_id,
        claim_id=claim.id,
        event_type=CLAIM_EVENTS[event.type],
        captured_at=event.captured_at,
        visitor_id=event.visitor_id,
        page=_text(event, "page"),
        variant_id=claim.variant_id,
        device=_text(event, "device"),
        country=_text(event, "country"),
    )


def _text(event: Event, key: str) -> str | None:
    value = event.payload.get(key)
    return value if isinstance(value, str) else None
