"""The step `deduplicate`: of events that are the same in one batch, the first goes on.

What is the same is what the ledger's key says: site, time in milliseconds, id, type. Events that
the ledger has from an earlier batch go on too: that batch may have died before its other effects.
They add nothing, as the ledger tells which of its rows are new.
"""

from datetime import datetime
from uuid import UUID

from subgraphs.analytics.batch import Batch, Drop


def deduplicate(batch: Batch) -> None:
    """Drop repetitions within the batch."""
    seen: set[tuple[UUID, UUID, datetime, str]] = set()
    for item in batch.items:
        if event := item.live:
            key = (event.id, event.site_id, event.occurred_at, event.type)
            if key in seen:
                item.drop = Drop.DUPLICATE
            seen.add(key)
