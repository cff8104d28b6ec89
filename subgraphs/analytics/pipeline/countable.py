"""What counts of a batch: orders, views, and what happened to claims; as rows for ClickHouse."""

from subgraphs.analytics.clickhouse.store import RawEvent
from subgraphs.analytics.ledger import Countable, Happening
from subgraphs.analytics.pipeline.batch import ORDER_CREATED, PAGE_VIEWED, Batch
from subgraphs.kernel.streams.envelope import Event

_METRICS = {ORDER_CREATED: "orders", PAGE_VIEWED: "page_views"}


def rows_of(batch: Batch) -> list[RawEvent]:
    """One row for each thing that counts."""
    rows = [_source_event(event) for event in facts_of(batch)]
    return rows + [_happening(happening) for happening in batch.happenings]


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


def _happening(happening: Happening) -> RawEvent:
    return RawEvent(
        site_id=happening.site_id,
        metric=happening.metric,
        occurred_at=happening.created_at,
        id=happening.id,
        notification_id=happening.notification_id,
        claim_id=happening.claim_id,
        captured_at=happening.captured_at,
        variant_id=happening.variant_id,
        page=happening.page or "",
        device=happening.device or "",
        country=happening.country or "",
        currency=happening.currency or "",
        amount_minor=happening.revenue_minor or 0,
    )
