"""Which source events count, and as what metric."""

from subgraphs.analytics.pipeline.batch import ORDER_CREATED, PAGE_VIEWED, Batch
from subgraphs.kernel.streams.envelope import Event

METRICS = {ORDER_CREATED: "orders", PAGE_VIEWED: "page_views"}
"""The metric by event type; other source events are not counted."""


def countable_events(batch: Batch) -> list[Event]:
    """The batch's source events that count."""
    return [event for event in batch.source_events if event.type in METRICS]
