"""The step `write_notification_events`: adds the notification events to the ledger."""

from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics import ledger
from subgraphs.analytics.ledger import NotificationEvent
from subgraphs.analytics.pipeline.batch import CLAIM_EVENTS, Batch, Claim, Drop, claim_name_of
from subgraphs.kernel.ids import derived_id, moment_of
from subgraphs.kernel.streams.envelope import Event


async def write_notification_events(session: AsyncSession, batch: Batch) -> None:
    """Add the notification events to the ledger, and count the new ones there.

    They are `published` of each new claim, and the visitors' claim events. Where a row exists, the
    pipeline continues with the stored row. Events of unknown claims are dropped.
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
    repeated = {row.key for row in rows}.difference(
        row.key for row in batch.new_notification_events
    )
    stored = await ledger.stored_notification_events(session, list(repeated))
    batch.notification_events = [stored.get(row.key, row) for row in rows]


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
