"""The step `write_raw_events`: inserts one row per countable event into ClickHouse."""

from subgraphs.analytics.clickhouse import raw_events
from subgraphs.analytics.clickhouse.raw_events import RawEvent
from subgraphs.analytics.ledger import NotificationEvent
from subgraphs.analytics.pipeline.batch import Batch
from subgraphs.analytics.pipeline.countable import METRICS, countable_events
from subgraphs.kernel.streams.envelope import Event


async def write_raw_events(batch: Batch) -> None:
    """Insert the batch's countable events; ClickHouse merges repeated rows."""
    await raw_events.insert(rows_of(batch))


def rows_of(batch: Batch) -> list[RawEvent]:
    """One row per countable source event and per notification event."""
    rows = [_source_event(event) for event in countable_events(batch)]
    return rows + [_notification_event(event) for event in batch.notification_events]


def _source_event(event: Event) -> RawEvent:
    return RawEvent(
        site_id=event.site_id,
        metric=METRICS[event.type],
        occurred_at=event.occurred_at,
        id=event.id,
        notification_id=None,
        claim_id=None,
        captured_at=event.captured_at,
        page=_text(event, "page"),
        device=_text(event, "device"),
        country=_text(event, "country"),
    )


def _text(event: Event, name: str) -> str:
    value = event.payload.get(name)
    return value if isinstance(value, str) else ""


def _notification_event(event: NotificationEvent) -> RawEvent:
    return RawEvent(
        site_id=event.site_id,
        metric=event.metric,
        occurred_at=event.created_at,
        id=event.id,
        notification_id=event.notification_id,
        claim_id=event.claim_id,
        captured_at=event.captured_at,
        variant_id=event.variant_id,
        page=event.page or "",
        device=event.device or "",
        country=event.country or "",
        currency=event.currency or "",
        amount_minor=event.revenue_minor or 0,
    )
