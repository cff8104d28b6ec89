"""The step `sessionise`: what each visitor has done, on its way into `visitor_profiles`.

A session is a visitor's events at a site with no more than `SILENCE` between one and the next;
orders do not make one, they come from the shop and not from a page. `session_count` is how many
there are, in whatever order the events come: a late one that lies between two sessions makes them
one. `behavior_score` says how much a visitor has shown interest, from 0 to just below 1:

    points = 2 · (sessions - 1) + views + 5 · clicks + 10 · goals + 20 · orders
    behavior_score = points / (points + 20)

so one page is worth 0.05, a click on a claim 0.2, an order 0.5, and nothing lowers it. (PostgreSQL
computes it, see deploy/migrations/sql/visitor_profiles.sql.)

Only events that are new in the ledger add to a profile: a batch that comes again changes nothing.
The step writes them into a journal, one row a batch, in the transaction that adds them to the
ledger; `profiles.py` folds what has gathered there into the profiles, a few seconds later. A visit
is many events within minutes, and a profile written for each of them would cost more than all else.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics.pipeline.batch import (
    GOAL_REACHED,
    ORDER_CREATED,
    PAGE_VIEWED,
    SNIPPET,
    Batch,
)

SILENCE = timedelta(minutes=30)
"""After this long without an event the next one begins a session; web analytics agree on it."""

COLUMNS = ("views", "goals", "orders", "shown", "clicks", "dismissals", "withheld")
"""What is counted of a visitor. Deeds name these by their place: append, never move."""

_COLUMN_OF = {
    PAGE_VIEWED: COLUMNS.index("views"),
    GOAL_REACHED: COLUMNS.index("goals"),
    ORDER_CREATED: COLUMNS.index("orders"),
    "shown": COLUMNS.index("shown"),
    "clicked": COLUMNS.index("clicks"),
    "dismissed": COLUMNS.index("dismissals"),
    "withheld": COLUMNS.index("withheld"),
}

_WRITE = text("INSERT INTO visitor_deeds (deeds) VALUES (:deeds)")


class VisitorEvent(NamedTuple):
    """One new event of a visitor."""

    visitor_id: str
    column: int
    """Its place in `COLUMNS`."""
    at: int
    """Milliseconds since 1970."""
    on_a_page: bool
    """Whether it makes a session."""


class SiteVisitorEvents(msgspec.Struct, array_like=True):
    """What a batch has of one site."""

    site_id: UUID
    account_id: UUID
    visitor_events: list[VisitorEvent]


_encoder = msgspec.msgpack.Encoder(uuid_format="bytes")
_decoder = msgspec.msgpack.Decoder(list[SiteVisitorEvents])


async def sessionise(session: AsyncSession, batch: Batch) -> None:
    """Write down what is new in the ledger for its visitors' profiles."""
    sites: dict[UUID, SiteVisitorEvents] = {}
    for site_id, account_id, deed in _visitor_events(batch):
        site = sites.get(site_id)
        if site is None:
            site = sites[site_id] = SiteVisitorEvents(site_id, account_id, [])
        site.visitor_events.append(deed)
    if sites:
        await session.execute(_WRITE, {"deeds": _encoder.encode(list(sites.values()))})


def read_visitor_events(row: bytes) -> list[SiteVisitorEvents]:
    """What a row of the journal says."""
    return _decoder.decode(row)


def sessions_of(moments: Iterable[datetime]) -> list[tuple[datetime, datetime]]:
    """Each session from its first event to `SILENCE` after its last, in order."""
    found: list[tuple[datetime, datetime]] = []
    for moment in sorted(moments):
        if found and moment <= found[-1][1]:
            found[-1] = found[-1][0], moment + SILENCE
        else:
            found.append((moment, moment + SILENCE))
    return found


def moment_at(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _visitor_events(batch: Batch) -> Iterable[tuple[UUID, UUID, VisitorEvent]]:
    for e in batch.new_events:
        column = _COLUMN_OF.get(e.type)
        if column is not None and e.visitor_id:
            deed = VisitorEvent(e.visitor_id, column, _at(e.occurred_at), e.source == SNIPPET)
            yield e.site_id, e.account_id, deed
    for h in batch.new_notification_events:
        column = _COLUMN_OF.get(h.event_type)
        if column is not None and h.visitor_id:
            yield (
                h.site_id,
                h.account_id,
                VisitorEvent(h.visitor_id, column, _at(h.created_at), True),
            )


def _at(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
