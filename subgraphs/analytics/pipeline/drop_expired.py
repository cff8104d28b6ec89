"""The step `drop_gone`: events of a time that has left the ledger.

The ledger knows an event again by its key. Once the rows of a time are archived and dropped it
knows nothing of them, and what is delivered again would count again. So what is told later than
its account keeps events does not count, nor what falls into a range of which the archive has a
share of its site; unless the ledger still has it, and the batch only comes again.
"""

from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics.archive.models import DEFAULT_DAYS
from subgraphs.analytics.pipeline.batch import CLAIM_EVENTS, Batch, Drop
from subgraphs.kernel.streams.envelope import Event

_GONE = text("""
    SELECT place, told_at - at > make_interval(days => coalesce(retention_days, :days)) AS late,
        EXISTS (SELECT FROM archive_shares s
                WHERE s.site_id = old.site_id AND s.table_name = old.table_name
                  AND s.range_start <= at AND at < s.range_end)
        AND NOT EXISTS (SELECT FROM events e
                        WHERE e.site_id = old.site_id AND e.time = at AND e.id = old.id)
        AND NOT EXISTS (SELECT FROM notification_events e
                        WHERE e.site_id = old.site_id AND e.created_at = at AND e.id = old.id)
        AS archived
    FROM unnest(CAST(:places AS integer[]), CAST(:sites AS uuid[]), CAST(:ids AS uuid[]),
                CAST(:times AS timestamptz[]), CAST(:told AS timestamptz[]),
                CAST(:tables AS text[])) AS old (place, site_id, id, at, told_at, table_name)
    LEFT JOIN tenants USING (site_id)
""")


async def drop_expired(session: AsyncSession, batch: Batch) -> None:
    """Drop what is told too late to be known again."""
    youngest = datetime.now(UTC) - timedelta(days=DEFAULT_DAYS)
    old = [
        (place, event.site_id, event.id, event.occurred_at, event.captured_at, _table_of(event))
        for place, item in enumerate(batch.items)
        if (event := item.live) and event.occurred_at < youngest
    ]
    if not old:  # as nearly always
        return
    names = ("places", "sites", "ids", "times", "told", "tables")
    columns = dict(zip(names, map(list, zip(*old, strict=True)), strict=True))
    for place, late, archived in await session.execute(_GONE, {**columns, "days": DEFAULT_DAYS}):
        if late:
            batch.items[place].drop = Drop.PAST_RETENTION
        elif archived:
            batch.items[place].drop = Drop.ARCHIVED


def _table_of(event: Event) -> str:
    return "notification_events" if event.type in CLAIM_EVENTS else "events"
