"""The ledger's statements in PostgreSQL: one insert a table and batch, and ids that decide.

Columns travel as arrays, so that a statement is the same text for any number of rows. Rows are
sorted by id: two writers that meet in the same rows wait for each other and never deadlock.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics.models import Counter
from subgraphs.kernel.events import Event


class Happening(NamedTuple):
    """Something that happened to a claim; a row of `notification_events`."""

    id: UUID
    created_at: datetime
    account_id: UUID
    site_id: UUID
    notification_id: UUID
    claim_id: UUID
    event_type: str
    captured_at: datetime
    visitor_id: str | None = None
    page: str | None = None


_EVENTS = text("""
    INSERT INTO events (id, time, account_id, site_id, event_type, captured_at, source, visitor_id,
                        payload)
    SELECT * FROM unnest(
        CAST(:id AS uuid[]), CAST(:time AS timestamptz[]), CAST(:account_id AS uuid[]),
        CAST(:site_id AS uuid[]), CAST(:event_type AS text[]), CAST(:captured_at AS timestamptz[]),
        CAST(:source AS text[]), CAST(:visitor_id AS text[]),
        CAST(CAST(:payload AS text[]) AS jsonb[]))
    ON CONFLICT DO NOTHING
""")

_HAPPENINGS = text("""
    WITH added AS (
        INSERT INTO notification_events (id, created_at, account_id, site_id, notification_id,
                                         claim_id, event_type, captured_at, visitor_id, page)
        SELECT * FROM unnest(
            CAST(:id AS uuid[]), CAST(:created_at AS timestamptz[]), CAST(:account_id AS uuid[]),
            CAST(:site_id AS uuid[]), CAST(:notification_id AS uuid[]), CAST(:claim_id AS uuid[]),
            CAST(:event_type AS text[]), CAST(:captured_at AS timestamptz[]),
            CAST(:visitor_id AS text[]), CAST(:page AS text[]))
        ON CONFLICT DO NOTHING
        RETURNING site_id, account_id, event_type
    )
    INSERT INTO counters (site_id, account_id, metric, value)
    SELECT site_id, account_id, event_type, count(*) FROM added
    GROUP BY site_id, account_id, event_type ORDER BY site_id, event_type
    ON CONFLICT (site_id, metric) DO UPDATE SET value = counters.value + excluded.value
""")


async def add_events(session: AsyncSession, events: Sequence[Event]) -> None:
    """Write down source events; those already there stay as they are."""
    rows = sorted(events, key=lambda event: event.id)
    if not rows:
        return
    await session.execute(
        _EVENTS,
        {
            "id": [event.id for event in rows],
            "time": [event.occurred_at for event in rows],
            "account_id": [event.account_id for event in rows],
            "site_id": [event.site_id for event in rows],
            "event_type": [event.type for event in rows],
            "captured_at": [event.captured_at for event in rows],
            "source": [event.source for event in rows],
            "visitor_id": [event.visitor_id for event in rows],
            "payload": [msgspec.json.encode(event.payload).decode() for event in rows],
        },
    )


async def add_happenings(session: AsyncSession, happenings: Sequence[Happening]) -> None:
    """Write down what happened to claims and count what is new, in one statement."""
    rows = sorted(happenings, key=lambda happening: happening.id)
    if not rows:
        return
    columns = zip(*rows, strict=True)
    await session.execute(
        _HAPPENINGS, dict(zip(Happening._fields, map(list, columns), strict=True))
    )


async def counters(session: AsyncSession, site_ids: Collection[UUID]) -> Sequence[Counter]:
    """The counters of these sites."""
    if not site_ids:
        return ()
    return (await session.scalars(select(Counter).where(Counter.site_id.in_(site_ids)))).all()
