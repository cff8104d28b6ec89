"""Visitor profiles: the journal of what visitors did, folded in. The rules are in `sessions.py`.

A row leaves the journal in the transaction that adds it to the profiles, so each counts once. In
which order they are folded does not matter: counts add up, and sessions that a late event can still
reach are kept as ranges of time, which PostgreSQL unites; older ones are a number. An event that
comes later than the doors allow, as from the dead letters, may count a session twice.

Who has not been seen for as long as the site's plan keeps events is forgotten.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics.ingest import event_parsing
from subgraphs.analytics.pipeline.sessionise import (
    COLUMNS,
    SILENCE,
    SiteVisitorEvents,
    VisitorEvent,
    moment_at,
    read_visitor_events,
    sessions_of,
)

REACHABLE = event_parsing.MAX_AGE + SILENCE + timedelta(hours=2)
"""How long before the newest event a session may have ended for a late event to join it. The two
hours are for clocks ahead of ours, a shop's among them."""

_TAKE = text("""
    DELETE FROM visitor_deeds WHERE id IN (
        SELECT id FROM visitor_deeds ORDER BY id LIMIT :most FOR UPDATE SKIP LOCKED)
    RETURNING deeds
""")

_ADD = text("""
    INSERT INTO visitor_profiles AS p
        (site_id, visitor_id, account_id, views, goals, orders, shown, clicks, dismissals, withheld,
         first_seen_at, last_seen_at, open_sessions, session_count)
    SELECT *
    FROM unnest(
        CAST(:site_id AS uuid[]), CAST(:visitor_id AS text[]), CAST(:account_id AS uuid[]),
        CAST(:views AS int[]), CAST(:goals AS int[]), CAST(:orders AS int[]),
        CAST(:shown AS int[]), CAST(:clicks AS int[]), CAST(:dismissals AS int[]),
        CAST(:withheld AS int[]), CAST(:first_seen_at AS timestamptz[]),
        CAST(:last_seen_at AS timestamptz[]), CAST(CAST(:sessions AS text[]) AS tstzmultirange[]),
        CAST(:session_count AS int[]))
    ON CONFLICT (site_id, visitor_id) DO UPDATE SET
        views = p.views + excluded.views,
        goals = p.goals + excluded.goals,
        orders = p.orders + excluded.orders,
        shown = p.shown + excluded.shown,
        clicks = p.clicks + excluded.clicks,
        dismissals = p.dismissals + excluded.dismissals,
        withheld = p.withheld + excluded.withheld,
        first_seen_at = least(p.first_seen_at, excluded.first_seen_at),
        last_seen_at = greatest(p.last_seen_at, excluded.last_seen_at),
        (closed_sessions, open_sessions, session_count) = (
            SELECT p.closed_sessions + count(*) FILTER (WHERE NOT reachable),
                   coalesce(range_agg(session) FILTER (WHERE reachable), '{}'),
                   p.closed_sessions + count(*)
            FROM (
                SELECT session, upper(session) >= greatest(p.last_seen_at, excluded.last_seen_at)
                                                  - CAST(:reachable AS interval) AS reachable
                FROM unnest(p.open_sessions + excluded.open_sessions) AS session
            ) AS sessions)
""")


# The shortest retention by itself is a constant, and finds the old blocks by the index.
_FORGET = text("""
    DELETE FROM visitor_profiles WHERE id IN (
        SELECT p.id FROM visitor_profiles AS p JOIN tenants AS t USING (site_id)
        WHERE p.last_seen_at < CAST(:now AS timestamptz) - make_interval(days => t.retention_days)
          AND p.last_seen_at < CAST(:now AS timestamptz) - make_interval(
              days => (SELECT min(retention_days) FROM tenants))
        LIMIT :most)
    RETURNING id
""")


@dataclass
class _Seen:
    """What the journal adds to one visitor's profile."""

    account_id: UUID
    counts: list[int] = field(default_factory=lambda: [0] * len(COLUMNS))
    moments: list[int] = field(default_factory=list)
    """Of all events."""
    active: list[int] = field(default_factory=list)
    """Of those that make sessions."""

    def add(self, deed: VisitorEvent) -> None:
        self.counts[deed.column] += 1
        self.moments.append(deed.at)
        if deed.on_a_page:
            self.active.append(deed.at)


async def fold(session: AsyncSession, *, most: int) -> int:
    """Fold at most so many rows of the journal into the profiles; how many there were."""
    rows = (await session.scalars(_TAKE, {"most": most})).all()
    seen: dict[tuple[UUID, str], _Seen] = {}
    for site in chain.from_iterable(map(read_visitor_events, rows)):
        _note(seen, site)
    if seen:
        await session.execute(_ADD, _columns(seen))
    return len(rows)


async def forget(session: AsyncSession, *, now: datetime, most: int) -> int:
    """Delete at most so many profiles of visitors who have not been seen for long; how many."""
    deleted = await session.scalars(_FORGET, {"now": now, "most": most})
    return len(deleted.all())


def _note(seen: dict[tuple[UUID, str], _Seen], site: SiteVisitorEvents) -> None:
    for deed in site.visitor_events:
        key = site.site_id, deed.visitor_id
        visitor = seen.get(key)
        if visitor is None:
            visitor = seen[key] = _Seen(site.account_id)
        visitor.add(deed)


def _columns(seen: dict[tuple[UUID, str], _Seen]) -> dict[str, object]:
    # In one order for all: two who meet in the same rows wait for each other and never deadlock.
    keys = sorted(seen)
    visitors = [seen[key] for key in keys]
    sessions = [sessions_of(map(moment_at, visitor.active)) for visitor in visitors]
    return {
        "site_id": [site_id for site_id, _ in keys],
        "visitor_id": [visitor_id for _, visitor_id in keys],
        "account_id": [visitor.account_id for visitor in visitors],
        **{
            name: [visitor.counts[place] for visitor in visitors]
            for place, name in enumerate(COLUMNS)
        },
        "first_seen_at": [moment_at(min(visitor.moments)) for visitor in visitors],
        "last_seen_at": [moment_at(max(visitor.moments)) for visitor in visitors],
        "sessions": list(map(_multirange, sessions)),
        "session_count": list(map(len, sessions)),
        "reachable": REACHABLE,
    }


def _multirange(ranges: Sequence[tuple[datetime, datetime]]) -> str:
    """As PostgreSQL writes it: half-open, so that what begins where another ends is one with it."""
    return "{" + ",".join(f"[{start.isoformat()},{end.isoformat()})" for start, end in ranges) + "}"
