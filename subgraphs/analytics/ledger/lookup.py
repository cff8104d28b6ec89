"""Reads the stored rows of given keys: the first version of an event that arrives again."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics.ledger.rows import EventRow, Key, NotificationEvent
from subgraphs.kernel.streams.envelope import Event


def _select(table: str, columns: str, time: str) -> TextClause:
    return text(f"""
        SELECT {columns} FROM {table}
        JOIN unnest(CAST(:sites AS uuid[]), CAST(:times AS timestamptz[]), CAST(:ids AS uuid[]),
                    CAST(:types AS text[]))
            AS wanted (wanted_site, wanted_time, wanted_id, wanted_type)
        ON site_id = wanted_site AND {time} = wanted_time AND id = wanted_id
           AND event_type = wanted_type
    """)  # noqa: S608 - inserts only our own names


_EVENTS = _select(
    "events", ", ".join(EventRow._fields[:-1]) + ", CAST(payload AS text) AS payload", "time"
)

_NOTIFICATION_EVENTS = _select(
    "notification_events", ", ".join(NotificationEvent._fields), "created_at"
)


async def stored_events(session: AsyncSession, keys: Sequence[Key]) -> dict[Key, Event]:
    """The stored source events with these keys; keys without a row are absent."""
    if not keys:
        return {}
    rows = await session.execute(_EVENTS, _columns(keys))
    return {
        (row.site_id, row.time, row.id, row.event_type): Event(
            id=row.id,
            site_id=row.site_id,
            account_id=row.account_id,
            type=row.event_type,
            occurred_at=row.time,
            captured_at=row.captured_at,
            source=row.source,
            visitor_id=row.visitor_id,
            payload=msgspec.json.decode(row.payload),
        )
        for row in rows
    }


async def stored_notification_events(
    session: AsyncSession, keys: Sequence[Key]
) -> dict[Key, NotificationEvent]:
    """The stored notification events with these keys; keys without a row are absent."""
    if not keys:
        return {}
    rows = await session.execute(_NOTIFICATION_EVENTS, _columns(keys))
    events = [NotificationEvent(*row) for row in rows]
    return {event.key: event for event in events}


def _columns(keys: Sequence[Key]) -> dict[str, object]:
    names = ("sites", "times", "ids", "types")
    return dict(zip(names, map(list, zip(*keys, strict=True)), strict=True))
