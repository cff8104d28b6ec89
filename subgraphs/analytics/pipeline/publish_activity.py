"""The step `tell_dashboards`: what happened, to the dashboards that follow a site.

One message a site and batch, however much happened: the counters as they are now, and the last
events. The same batch makes the same message; one that is cut anew after a crash may tell of an
event a second time, under the same id.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from subgraphs.analytics.ledger import NotificationEvent
from subgraphs.analytics.pipeline.batch import ORDER_CREATED, Batch
from subgraphs.analytics.pipeline.countable import facts_of
from subgraphs.kernel import live
from subgraphs.kernel.ids import derived_id
from subgraphs.kernel.streams.envelope import Event

LATEST = 50
"""Events that one message tells of; a person reads fewer, and the rest is in the counters."""


TOLD_IN_ALL = 1000
"""Events that all messages of a batch tell of. Who has so many is behind, and tells old news."""


class Told(msgspec.Struct, rename="camel"):
    """An event as dashboards see it."""

    id: UUID
    type: str
    occurred_at: datetime
    claim_id: UUID | None = None
    text: str | None = None


async def publish_activity(batch: Batch) -> None:
    """Tell each site's dashboards of this batch."""
    counters: dict[UUID, dict[str, int]] = {}
    for counter in batch.counters:
        counters.setdefault(counter.site_id, {})[counter.metric] = counter.value
    facts: dict[UUID, list[Event]] = defaultdict(list)
    for event in facts_of(batch):
        facts[event.site_id].append(event)
    happened: dict[UUID, list[NotificationEvent]] = defaultdict(list)
    for it in batch.notification_events:
        happened[it.site_id].append(it)
    texts = {claim.id: claim.text for claim in [*batch.made, *batch.mentioned.values()]}
    sites = {**facts, **happened}
    latest = max(1, min(LATEST, TOLD_IN_ALL // max(1, len(sites))))
    messages = []
    for site_id in sites:
        # A view is counted and not told of: it would push what a merchant looks for off the list.
        sold = [event for event in facts[site_id] if event.type == ORDER_CREATED]
        told = [
            *(Told(it.id, it.type, it.occurred_at) for it in sold[-latest:]),
            *(_told(it, texts.get(it.claim_id)) for it in happened[site_id][-latest:]),
        ][-latest:]
        more = len(sold) + len(happened[site_id]) - len(told)
        data = {"counters": counters.get(site_id, {}), "events": told, "more": more}
        id_ = _id(site_id, facts[site_id], happened[site_id])
        messages.append((live.activity_of(site_id), id_, data))
    await live.publish_all(messages)


def _told(it: NotificationEvent, text: str | None) -> Told:
    return Told(it.id, f"claim.{it.metric}", it.created_at, it.claim_id, text)


def _id(site_id: UUID, facts: Sequence[Event], happened: Sequence[NotificationEvent]) -> UUID:
    """The same for the same events."""
    things = [(it.occurred_at, it.id, it.type) for it in (*facts[:1], *facts[-1:])]
    things += [(it.created_at, it.id, it.metric) for it in (*happened[:1], *happened[-1:])]
    return derived_id(things[-1][0], site_id, things, len(facts), len(happened))
