"""The step `count`: adds the new source events to the ledger's counters."""

from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics import ledger
from subgraphs.analytics.pipeline.batch import Batch
from subgraphs.analytics.pipeline.countable import METRICS, countable_events


async def count(session: AsyncSession, batch: Batch) -> None:
    """Count the new source events; read the counters of the batch's sites.

    `write_notification_events` has counted the notification events already.
    """
    new = [
        (event.site_id, event.account_id, METRICS[event.type])
        for event in batch.new_events
        if event.type in METRICS
    ]
    await ledger.count(session, new)
    site_ids = {event.site_id for event in countable_events(batch)}
    site_ids |= {event.site_id for event in batch.notification_events}
    batch.counters = await ledger.counters(session, site_ids)
