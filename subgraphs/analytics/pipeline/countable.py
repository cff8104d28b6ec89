"""What counts of a batch: orders, views, and what happened to claims; as rows for ClickHouse."""

from subgraphs.analytics.clickhouse.raw_events import RawEvent
from subgraphs.analytics.ledger import Countable, NotificationEvent
from subgraphs.analytics.pipeline.batch import ORDER_CREATED, PAGE_VIEWED, Batch
from subgraphs.kernel.streams.envelope import Event

_METRICS = {ORDER_CREATED: "orders", PAGE_VIEWED: "page_views"}


def rows_of(batch: Batch) -> list[RawEvent]:
    """One row for each thing that counts."""
    rows = [_source_event(event) for event in facts_of(batch)]
    return rows + [_notification_event(event) for event in batch.notification_events]


def facts_of(batch: Batch) -> list[Event]:
    """The source events that count."""
    return [event for event in batch.source_events if event.type in _METRICS]


def new_facts_of(batch: Batch) -> list[Countable]:
    """Those that the ledger did not have before."""
    return [
        (event.site_id, event.account_id, _METRICS[event.type])
        for event in batch.new_events
        if event.type in _METRICS
    ]


def _source_event(event: Event) -> RawEvent:
    return RawEvent(
        site_id=event.site_id,
        metric=_METRICS[event.type],
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


def _notification_event(notification_event: NotificationEvent) -> RawEvent:
    return RawEvent(
        site_id=notification_event.site_id,
        metric=notification_event.metric,
        occurred_at=notification_event.created_at,
        id=notification_event.id,
        notification_id=notification_event.notification_id,
        claim_id=notification_event.claim_id,
        captured_at=notification_event.captured_at,
        variant_id=notification_event.variant_id,
        page=notification_event.page or "",
        device=notification_event.device or "",
        country=notification_event.country or "",
        currency=notification_event.currency or "",
        amount_minor=notification_event.revenue_minor or 0,
    )
