"""The steps `count`, `write_raw_events` and `write_counters`: the numbers, in each store."""

from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics import ledger
from subgraphs.analytics.clickhouse import raw_events
from subgraphs.analytics.pipeline import countable
from subgraphs.analytics.pipeline.batch import Batch
from subgraphs.analytics.realtime import counters, live_visitors
from subgraphs.kernel import redis


async def count(session: AsyncSession, batch: Batch) -> None:
    """Add the new source events to the ledger's counters; read the counters of the batch's sites.

    `write_notification_events` has counted the notification events already.
    """
    await ledger.count(session, countable.new_facts_of(batch))
    site_ids = {event.site_id for event in countable.facts_of(batch)}
    site_ids |= {event.site_id for event in batch.notification_events}
    batch.counters = await ledger.counters(session, site_ids)


async def write_raw_events(batch: Batch) -> None:
    """Insert all that counts into ClickHouse, which merges repeated rows."""
    await raw_events.insert(countable.rows_of(batch))


async def write_counters(batch: Batch) -> None:
    """Copy the ledger's counters to Redis, and note which visitors are on the sites."""
    await counters.show(redis.client(), batch.counters)
    await live_visitors.note(redis.client(), batch)
