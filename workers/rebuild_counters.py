"""The task `analytics.rebuild_counters`: rebuilds Redis's counters from the ledger.

`python -m workers.rebuild_counters` does the same by hand.

Redis holds a copy of the ledger's counters, and a marker that the copy is complete. A loss of the
counters loses the marker too, and beat checks it every few seconds. The marker also expires, so
that a Redis that restarted from an older state is corrected within an hour.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics.ledger import Counted
from subgraphs.analytics.models import Counter
from subgraphs.analytics.realtime import counters, live_visitors
from subgraphs.analytics.realtime.live_visitors import Sighting, sighting
from subgraphs.kernel import db, redis, task_names
from subgraphs.kernel.logging import configure_logging
from workers.app import app, run

log = structlog.stdlib.get_logger(__name__)

BATCH_SIZE = 1000
"""Rows of one round trip to Redis."""

_MARGIN = timedelta(minutes=1)
"""Added to the window, which moves on while the rows are read."""

# Site by site, as the tables' keys begin: a scan by time alone would read a month.
_VISITORS = text("""
    SELECT site_id, visitor_id, time, captured_at FROM tenants CROSS JOIN LATERAL (
        SELECT visitor_id, max(time) AS time, max(captured_at) AS captured_at FROM events
        WHERE site_id = tenants.site_id AND time > :oldest AND source = 'snippet'
          AND visitor_id IS NOT NULL
        GROUP BY visitor_id) AS seen
    UNION ALL
    SELECT site_id, visitor_id, time, captured_at FROM tenants CROSS JOIN LATERAL (
        SELECT visitor_id, max(created_at) AS time, max(captured_at) AS captured_at
        FROM notification_events
        WHERE site_id = tenants.site_id AND created_at > :oldest AND event_type <> 'converted'
          AND visitor_id IS NOT NULL
        GROUP BY visitor_id) AS seen
""")


@app.task(name=task_names.REBUILD_COUNTERS)
def rebuild_counters() -> bool:
    return run(rebuild_if_lost())


async def rebuild_if_lost() -> bool:
    """Rebuild the counters unless they are complete; returns whether it rebuilt them."""
    if await counters.is_complete(redis.client()):
        return False
    await rebuild()
    return True


async def rebuild() -> None:
    """Copy the ledger's counters and recent visitors to Redis; safe while stream workers count."""
    async with db.service_transaction() as session:
        copied = 0
        async for rows in _counters(session):
            await counters.raise_to(redis.client(), rows)
            copied += len(rows)
        visitors = 0
        async for sightings in _sightings(session):
            await live_visitors.record(redis.client(), sightings)
            visitors += len(sightings)
    await counters.mark_complete(redis.client())
    log.info("rebuilt", counters=copied, visitors=visitors)


async def _counters(session: AsyncSession) -> AsyncIterator[list[Counted]]:
    found = await session.stream(
        select(Counter.site_id, Counter.metric, Counter.value),
        execution_options={"yield_per": BATCH_SIZE},
    )
    async for rows in found.partitions():
        yield [Counted(*row) for row in rows]


async def _sightings(session: AsyncSession) -> AsyncIterator[list[Sighting]]:
    oldest = datetime.now(UTC) - live_visitors.WINDOW - _MARGIN
    found = await session.stream(
        _VISITORS, {"oldest": oldest}, execution_options={"yield_per": BATCH_SIZE}
    )
    async for rows in found.partitions():
        yield [sighting(*row) for row in rows]


async def main() -> None:
    configure_logging()
    await rebuild()
    for close in (redis.dispose, db.dispose):
        await close()


if __name__ == "__main__":
    asyncio.run(main())
