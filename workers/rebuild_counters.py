"""`analytics.rebuild_counters`: rebuilds Redis's counters from the ledger.

`python -m workers.rebuild_counters` does the same by hand.

What Redis shows of analytics is a copy. A marker says that the copy is whole; whoever loses the one
loses the other, and beat looks every few seconds. The marker also ends by itself, so that a Redis
that came back from an older state is made good within the hour.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics.ledger import Counted
from subgraphs.analytics.models import Counter
from subgraphs.analytics.realtime import counters, live_visitors
from subgraphs.analytics.realtime.live_visitors import Sighting, sighting
from subgraphs.kernel import db, redis
from subgraphs.kernel.logging import configure_logging
from workers.app import REBUILD_COUNTERS, app, run

log = logging.getLogger(__name__)

AT_ONCE = 1000
"""Rows of one round trip to Redis."""

_LATE = timedelta(minutes=1)
"""What the window may be wider than when we began."""

# By the site, as the tables' keys go: a scan by time alone would read a month.
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


@app.task(name=REBUILD_COUNTERS)
def rebuild_counters() -> bool:
    return run(rebuild_if_lost())


async def rebuild_if_lost() -> bool:
    """Rebuild unless the copy is whole; says whether it was not."""
    if await counters.whole(redis.client()):
        return False
    await rebuild()
    return True


async def rebuild() -> None:
    """Make Redis show what the ledger says. Others may count meanwhile; twice is the same."""
    async with db.service_transaction() as session:
        shown = 0
        async for rows in _counters(session):
            await counters.show(redis.client(), rows)
            shown += len(rows)
        seen = 0
        async for sightings in _sightings(session):
            await live_visitors.add(redis.client(), sightings)
            seen += len(sightings)
    await counters.mark_whole(redis.client())
    log.info("rebuilt %d counters and %d sightings of visitors", shown, seen)


async def _counters(session: AsyncSession) -> AsyncIterator[list[Counted]]:
    found = await session.stream(
        select(Counter.site_id, Counter.metric, Counter.value),
        execution_options={"yield_per": AT_ONCE},
    )
    async for rows in found.partitions():
        yield [Counted(*row) for row in rows]


async def _sightings(session: AsyncSession) -> AsyncIterator[list[Sighting]]:
    oldest = datetime.now(UTC) - live_visitors.WINDOW - _LATE
    found = await session.stream(
        _VISITORS, {"oldest": oldest}, execution_options={"yield_per": AT_ONCE}
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
