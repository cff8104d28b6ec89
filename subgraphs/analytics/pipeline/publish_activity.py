"""The step `publish_activity`: publishes what happened to the dashboards that watch a site.

It publishes one message per site and batch: the counters and the latest events. A repeated batch
publishes the same message id. Entries that are batched differently after a crash may publish an
event a second time, with the same event id.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from subgraphs.analytics.ledger import NotificationEvent
from subgraphs.analytics.pipeline.batch import ORDER_CREATED, Batch
from subgraphs.analytics.pipeline.countable import countable_events
from subgraphs.kernel import live
from subgraphs.kernel.ids import derived_id
from subgraphs.kernel.streams.envelope import Event

MAX_EVENTS = 50
"""Events in one message; a person reads fewer, and the counters include the rest."""

MAX_EVENTS_PER_BATCH = 1000
"""Events in all messages of a batch: a worker with so many lags, and its events are old."""


class ActivityEvent(msgspec.Struct, rename="camel"):
    """An event as dashboards show it."""

    id: UUID
    type: str
    occurred_at: datetime
    claim_id: UUID | None = None
    text: str | None = None


async def publish_activity(batch: Batch) -> None:
    """Publish one message for each site of this batch."""
    counters: dict[UUID, dict[str, int]] = {}
    for counter in batch.counters:
        counters.setdefault(counter.site_id, {})[counter.metric] = counter.value
    source_events: dict[UUID, list[Event]] = defaultdict(list)
    for event in countable_events(batch):
        source_events[event.site_id].append(event)
    notification_events: dict[UUID, list[NotificationEvent]] = defaultdict(list)
    for row in batch.notification_events:
        notification_events[row.site_id].append(row)
    texts = {claim.id: claim.text for claim in [*batch.made, *batch.mentioned.values()]}
    sites = {**source_events, **notification_events}
    latest = max(1, min(MAX_EVENTS, MAX_EVENTS_PER_BATCH // max(1, len(sites))))
    messages = []
    for site_id in sites:
        sources, rows = source_events[site_id], notification_events[site_id]
        # Views are counted only: they would push what a merchant looks for off the list.
        orders = [event for event in sources if event.type == ORDER_CREATED]
        events = [
            *(ActivityEvent(it.id, it.type, it.occurred_at) for it in orders[-latest:]),
            *(_activity_event(it, texts.get(it.claim_id)) for it in rows[-latest:]),
        ][-latest:]
        more = len(orders) + len(rows) - len(events)
        data = {"counters": counters.get(site_id, {}), "events": events, "more": more}
        messages.append((live.activity_of(site_id), _message_id(site_id, sources, rows), data))
    await live.publish_all(messages)


def _activity_event(row: NotificationEvent, text: str | None) -> ActivityEvent:
    return ActivityEvent(row.id, f"claim.{row.metric}", row.created_at, row.claim_id, text)


def _message_id(site_id: UUID, sources: Sequence[Event], rows: Sequence[NotificationEvent]) -> UUID:
    """The same id for the same events: from the first and last of each kind, and their number."""
    ends = [(it.occurred_at, it.id, it.type) for it in (*sources[:1], *sources[-1:])]
    ends += [(it.created_at, it.id, it.metric) for it in (*rows[:1], *rows[-1:])]
    return derived_id(ends[-1][0], site_id, ends, len(sources), len(rows))
