"""The step `deduplicate`: of events that are the same in one batch, the first goes on.

What is the same is what the ledger's key says: site, time in milliseconds, id, type. Events that
the ledger has from an earlier batch go on too: that batch may have died before its other effects.
They add nothing, as the ledger tells which of its rows are new.
"""

from uuid import UUID

from subgraphs.analytics.pipeline.batch import Batch, Drop
from subgraphs.kernel.streams.envelope import Event


def deduplicate(batch: Batch) -> None:
    """Drop repetitions within the batch."""
    first_of: dict[UUID, Event] = {}
    known: set[tuple[object, ...]] = set()
    """The keys of ids that came more than once: few, and most batches have none."""
    for item in batch.items:
        if (event := item.live) is None:
            continue
        first = first_of.setdefault(event.id, event)
        if first is event:
            continue
        known.add(_key(first))
        if _key(event) in known:
            item.drop = Drop.DUPLICATE
        known.add(_key(event))


def _key(event: Event) -> tuple[object, ...]:
    return event.site_id, event.occurred_at, event.id, event.type
