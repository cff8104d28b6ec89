"""The step `as_stored`: what is told again counts as it was told first.

The ledger keeps the row it has. ClickHouse keeps the last one it is given, so a repetition that
says something else, another page perhaps, must not reach it: the ledger's row goes in its place.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics.batch import PAGE_VIEWED, Batch
from subgraphs.analytics.ledger import Happening
from subgraphs.kernel.events import Event

Key = tuple[UUID, datetime, UUID, str]
"""Site, moment, id, type: that of both tables."""

_ASKED = """
    FROM unnest(CAST(:sites AS uuid[]), CAST(:moments AS timestamptz[]), CAST(:ids AS uuid[]),
                CAST(:types AS text[])) AS asked (site, moment, key, kind)
"""

# One row after the other, each by its key: there are few, in tables that may be large.
_HAPPENINGS = text(f"""
    SELECT found.* {_ASKED} CROSS JOIN LATERAL (
        SELECT {", ".join(Happening._fields)} FROM notification_events
        WHERE site_id = site AND created_at = moment AND id = key AND event_type = kind LIMIT 1
    ) AS found
""")  # noqa: S608 - of our own names

_PAYLOADS = text(f"""
    SELECT site, moment, key, kind, found.payload {_ASKED} CROSS JOIN LATERAL (
        SELECT payload FROM events
        WHERE site_id = site AND time = moment AND id = key AND event_type = kind LIMIT 1
    ) AS found
""")  # noqa: S608 - of our own names


async def as_stored(session: AsyncSession, batch: Batch) -> None:
    """Put the ledger's word in the place of what it had before."""
    await _happenings(session, batch)
    await _views(session, batch)


async def _happenings(session: AsyncSession, batch: Batch) -> None:
    new = set(map(_of_happening, batch.new_happenings))
    keys = [key for key in map(_of_happening, batch.happenings) if key not in new]
    if not keys:
        return
    found = [Happening(*row) for row in await session.execute(_HAPPENINGS, _columns(keys))]
    stored = {_of_happening(row): row for row in found}
    batch.happenings = [stored.get(_of_happening(row), row) for row in batch.happenings]


async def _views(session: AsyncSession, batch: Batch) -> None:
    """Of source events, only page views count by what their payload says."""
    new = set(map(_of_event, batch.new_events))
    repeated = [
        item
        for item in batch.items
        if (event := item.live) and event.type == PAGE_VIEWED and _of_event(event) not in new
    ]
    if not repeated:
        return
    keys = [_of_event(item.event) for item in repeated if item.event]
    rows = await session.execute(_PAYLOADS, _columns(keys))
    payloads = {(site, moment, id_, kind): payload for site, moment, id_, kind, payload in rows}
    for item in repeated:
        if item.event and (key := _of_event(item.event)) in payloads:
            item.event = msgspec.structs.replace(item.event, payload=payloads[key])


def _of_happening(row: Happening) -> Key:
    return row.site_id, row.created_at, row.id, row.event_type


def _of_event(event: Event) -> Key:
    return event.site_id, event.occurred_at, event.id, event.type


def _columns(keys: list[Key]) -> dict[str, Any]:
    sites, moments, ids, types = map(list, zip(*keys, strict=True))
    return {"sites": sites, "moments": moments, "ids": ids, "types": types}
