"""The step `drop_expired`: drops events that are too old to be deduplicated.

The ledger recognises a repeated event by its key. Once the rows of a time range are archived and
dropped, a repeated event would count again. So an event is dropped if it arrives later than its
account keeps events. It is also dropped if the archive covers its time for its site, unless the
ledger still has the event because the batch repeats.
"""

from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics.archive.models import DEFAULT_DAYS
from subgraphs.analytics.pipeline.batch import CLAIM_EVENTS, Batch, Drop
from subgraphs.kernel.streams.envelope import Event

_EXPIRED = text("""
    SELECT position,
        captured_at - at > make_interval(days => coalesce(retention_days, :days)) AS late,
        EXISTS (SELECT FROM archive_shares s
                WHERE s.site_id = old.site_id AND s.table_name = old.table_name
                  AND s.range_start <= at AND at < s.range_end)
        AND NOT EXISTS (SELECT FROM events e
                        WHERE e.site_id = old.site_id AND e.time = at AND e.id = old.id)
        AND NOT EXISTS (SELECT FROM notification_events e
                        WHERE e.site_id = old.site_id AND e.created_at = at AND e.id = old.id)
        AS archived
    FROM unnest(CAST(:positions AS integer[]), CAST(:sites AS uuid[]), CAST(:ids AS uuid[]),
                CAST(:times AS timestamptz[]), CAST(:captures AS timestamptz[]),
                CAST(:tables AS text[]))
        AS old (position, site_id, id, at, captured_at, table_name)
    LEFT JOIN tenants USING (site_id)
""")


async def drop_expired(session: AsyncSession, batch: Batch) -> None:
    """Drop events that are past their account's retention, or archived."""
    youngest = datetime.now(UTC) - timedelta(days=DEFAULT_DAYS)
    old = [
        (position, event.site_id, event.id, event.occurred_at, event.captured_at, _table_of(event))
        for position, item in enumerate(batch.items)
        if (event := item.live) and event.occurred_at < youngest
    ]
    if not old:  # the usual case
        return
    names = ("positions", "sites", "ids", "times", "captures", "tables")
    columns = dict(zip(names, map(list, zip(*old, strict=True)), strict=True))
    rows = await session.execute(_EXPIRED, {**columns, "days": DEFAULT_DAYS})
    for position, late, archived in rows:
        if late:
            batch.items[position].drop = Drop.PAST_RETENTION
        elif archived:
            batch.items[position].drop = Drop.ARCHIVED


def _table_of(event: Event) -> str:
    return "notification_events" if event.type in CLAIM_EVENTS else "events"
