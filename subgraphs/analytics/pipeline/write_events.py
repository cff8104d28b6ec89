"""The step `write_events`: adds the source events to the ledger."""

from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics import ledger
from subgraphs.analytics.pipeline.batch import Batch


async def write_events(session: AsyncSession, batch: Batch) -> None:
    """Add the source events to the ledger; continue with the stored row where one exists."""
    source_events = batch.source_events
    batch.new_events = await ledger.add_events(session, source_events)
    if len(batch.new_events) == len(source_events):
        return
    new = map(ledger.key_of, batch.new_events)
    repeated = set(map(ledger.key_of, source_events)).difference(new)
    stored = await ledger.stored_events(session, list(repeated))
    for item in batch.items:
        if event := item.live:
            item.event = stored.get(ledger.key_of(event), event)
