"""The step `deduplicate`: keeps the first of equal events within a batch.

Events are equal if they have the ledger's key in common: site, time in milliseconds, id, type.
Events that the ledger has from an earlier batch continue too, since that batch may have crashed
before its other effects. They add nothing, because the ledger reports which of its rows are new.
"""

from uuid import UUID

from subgraphs.analytics import ledger
from subgraphs.analytics.ledger import Key
from subgraphs.analytics.pipeline.batch import Batch, Drop
from subgraphs.kernel.streams.envelope import Event


def deduplicate(batch: Batch) -> None:
    """Drop repetitions within the batch."""
    first_of: dict[UUID, Event] = {}
    seen: set[Key] = set()
    """The keys of ids that occur more than once; most batches have none."""
    for item in batch.items:
        if (event := item.live) is None:
            continue
        first = first_of.setdefault(event.id, event)
        if first is event:
            continue
        seen.add(ledger.key_of(first))
        key = ledger.key_of(event)
        if key in seen:
            item.drop = Drop.DUPLICATE
        seen.add(key)
