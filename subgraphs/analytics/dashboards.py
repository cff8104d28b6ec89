"""The step `tell_dashboards`: what happened, to the dashboards that follow a site.

One message a site and batch, however much happened: the counters as they are now, and the last
events. The same batch makes the same message; one that is cut anew after a crash may tell of an
event a second time, under the same id.
"""

from collections.abc import Iterable
from datetime import datetime
from itertools import chain
from typing import Any
from uuid import UUID

import msgspec

from subgraphs.analytics.batch import ORDER_CREATED, Batch
from subgraphs.kernel import live
from subgraphs.kernel.ids import derived_id

LATEST = 50
"""Events that one message tells of; a person reads fewer, and the rest is in the counters."""


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
    happened: dict[UUID, list[Told]] = {}
    for site_id, told in chain(_orders(batch), _happenings(batch)):
        happened.setdefault(site_id, []).append(told)
    await live.publish_all(
        [_message(site_id, told, counters.get(site_id, {})) for site_id, told in happened.items()]
    )


def _message(
    site_id: UUID, told: list[Told], counters: dict[str, int]
) -> tuple[str, UUID, dict[str, Any]]:
    first, last = told[0], told[-1]
    id_ = derived_id(last.occurred_at, site_id, first.id, last.id, last.type, len(told))
    events = told[-LATEST:]
    data = {"counters": counters, "events": events, "more": len(told) - len(events)}
    return live.activity_of(site_id), id_, data


def _orders(batch: Batch) -> Iterable[tuple[UUID, Told]]:
    for event in batch.source_events:
        if event.type == ORDER_CREATED:
            yield event.site_id, Told(event.id, event.type, event.occurred_at)


def _happenings(batch: Batch) -> Iterable[tuple[UUID, Told]]:
    texts = {claim.id: claim.text for claim in [*batch.made, *batch.mentioned.values()]}
    for it in batch.happenings:
        kind = f"claim.{it.metric}"
        yield it.site_id, Told(it.id, kind, it.created_at, it.claim_id, texts.get(it.claim_id))
