"""The step `write_counters`: copies the counters to Redis, and records visitors on the sites."""

from subgraphs.analytics.pipeline.batch import SNIPPET, Batch
from subgraphs.analytics.realtime import counters, live_visitors
from subgraphs.analytics.realtime.live_visitors import sighting
from subgraphs.kernel import redis


async def write_counters(batch: Batch) -> None:
    """Raise Redis's counters to the ledger's; record the visitors whose pages sent the events."""
    await counters.raise_to(redis.client(), batch.counters)
    sightings = (
        sighting(event.site_id, event.visitor_id, event.occurred_at, event.captured_at)
        for event in batch.events
        if event.source == SNIPPET and event.visitor_id
    )
    await live_visitors.record(redis.client(), sightings)
