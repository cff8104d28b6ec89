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

from subgraphs.analytics.batch import ORDER_CREATED, Batch
from subgraphs.analytics.ledger import Happening
from subgraphs.kernel import live
from subgraphs.kernel.events import Event
from subgraphs.kernel.ids import derived_id

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


async def tell_dashboards(batch: Batch) -> None:
    """Tell each site's dashboards of this batch."""
    counters: dict[UUID, dict[str, int]] = {}
    for counter in batch.counters:
        counters.setdefault(counter.site_id, {})[counter.metric] = counter.value
    sold: dict[UUID, list[Event]] = defaultdict(list)
    for event in batch.source_events:
        if event.type == ORDER_CREATED:
            sold[event.site_id].append(event)
    happened: dict[UUID, list[Happening]] = defaultdict(list)
    for it in batch.happenings:
        happened[it.site_id].append(it)
    texts = {claim.id: claim.text for claim in [*batch.made, *batch.mentioned.values()]}
    sites = {**sold, **happened}
    latest = max(1, min(LATEST, TOLD_IN_ALL // max(1, len(sites))))
    messages = []
    for site_id in sites:
        count = len(sold[site_id]) + len(happened[site_id])
        told = [
            *(Told(it.id, it.type, it.occurred_at) for it in sold[site_id][-latest:]),
            *(_told(it, texts.get(it.claim_id)) for it in happened[site_id][-latest:]),
        ][-latest:]
        data = {"counters": counters.get(site_id, {}), "events": told, "more": count - len(told)}
        messages.append((live.activity_of(site_id), _id(site_id, told, count), data))
    await live.publish_all(messages)


def _told(it: Happening, text: str | None) -> Told:
    return Told(it.id, f"claim.{it.metric}", it.created_at, it.claim_id, text)


def _id(site_id: UUID, told: Sequence[Told], count: int) -> UUID:
    """The same for the same events."""
    first, last = told[0], told[-1]
    return derived_id(last.occurred_at, site_id, first.id, last.id, last.type, count)
