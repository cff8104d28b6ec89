"""The table `visitor_event_journal`: new events of visitors, one row per batch.

The stream worker appends a row in the transaction that adds the events to the ledger. A Celery task
folds the rows into `visitor_profiles` and deletes them some seconds later.
"""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

COLUMNS = ("views", "goals", "orders", "shown", "clicks", "dismissals", "withheld")
"""The columns of `visitor_profiles` that count events. Journal rows store the position of a column
in this tuple: append, never reorder."""

_APPEND = text("INSERT INTO visitor_event_journal (events) VALUES (:events)")

_TAKE = text("""
    DELETE FROM visitor_event_journal WHERE id IN (
        SELECT id FROM visitor_event_journal ORDER BY id LIMIT :most FOR UPDATE SKIP LOCKED)
    RETURNING events
""")


class VisitorEvent(NamedTuple):
    """One new event of a visitor."""

    visitor_id: str
    column: int
    """Position in `COLUMNS`."""
    at: int
    """Milliseconds since 1970."""
    on_a_page: bool
    """Whether it belongs to a session."""


class SiteVisitorEvents(msgspec.Struct, array_like=True):
    """The visitor events of one site in a batch."""

    site_id: UUID
    account_id: UUID
    visitor_events: list[VisitorEvent]


_encoder = msgspec.msgpack.Encoder(uuid_format="bytes")
_decoder = msgspec.msgpack.Decoder(list[SiteVisitorEvents])


async def append(session: AsyncSession, sites: Sequence[SiteVisitorEvents]) -> None:
    """Append one row with the visitor events of a batch."""
    await session.execute(_APPEND, {"events": _encoder.encode(sites)})


async def take(session: AsyncSession, *, most: int) -> list[bytes]:
    """Delete and return the oldest rows, at most so many; skips rows that another task takes."""
    return list((await session.scalars(_TAKE, {"most": most})).all())


def decode(row: bytes) -> list[SiteVisitorEvents]:
    """The visitor events of one journal row."""
    return _decoder.decode(row)
