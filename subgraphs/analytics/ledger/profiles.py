"""Visitor profiles: folds the journal into `visitor_profiles`, and deletes old profiles.

`session_count` is the number of a visitor's sessions (`sessions.py`), in whatever order the events
arrive: a late event between two sessions joins them. `behavior_score` measures a visitor's interest
from 0 to just below 1:

    points = 2 · (sessions - 1) + views + 5 · clicks + 10 · goals + 20 · orders
    behavior_score = points / (points + 20)

One page is worth 0.05, a click on a claim 0.2, an order 0.5, and nothing lowers the score.
PostgreSQL computes it, see deploy/migrations/sql/visitor_profiles.sql.

A journal row is deleted in the transaction that adds it to the profiles, so each row counts once.
The order of folding does not matter: counts add up. Sessions that a late event can still reach are
kept as time ranges, which PostgreSQL unites; older sessions are only counted. An event that arrives
later than ingest allows, such as a replayed dead letter, may count a session twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics.ingest import event_parsing
from subgraphs.analytics.ledger import visitor_journal
from subgraphs.analytics.ledger.sessions import SILENCE, from_milliseconds, sessions_of
from subgraphs.analytics.ledger.visitor_journal import COLUMNS, SiteVisitorEvents, VisitorEvent

REACHABLE = event_parsing.MAX_AGE + SILENCE + timedelta(hours=2)
"""How long before the newest event a session may have ended for a late event to join it. The two
hours allow for clocks that are ahead of ours, such as a shop's."""

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

# The shortest retention as a constant finds the old blocks by the index.
_DELETE_OLD = text("""
    DELETE FROM visitor_profiles WHERE id IN (
        SELECT p.id FROM visitor_profiles AS p JOIN tenants AS t USING (site_id)
        WHERE p.last_seen_at < CAST(:now AS timestamptz) - make_interval(days => t.retention_days)
          AND p.last_seen_at < CAST(:now AS timestamptz) - make_interval(
              days => (SELECT min(retention_days) FROM tenants))
        LIMIT :most)
    RETURNING id
""")


@dataclass
class _Addition:
    """What the journal adds to one visitor's profile."""

    account_id: UUID
    counts: list[int] = field(default_factory=lambda: [0] * len(COLUMNS))
    times: list[int] = field(default_factory=list)
    """Of all events."""
    session_times: list[int] = field(default_factory=list)
    """Of the events that belong to sessions."""

    def add(self, event: VisitorEvent) -> None:
        self.counts[event.column] += 1
        self.times.append(event.at)
        if event.on_a_page:
            self.session_times.append(event.at)


async def fold_journal(session: AsyncSession, *, most: int) -> int:
    """Fold at most so many journal rows into the profiles; returns how many there were."""
    rows = await visitor_journal.take(session, most=most)
    additions: dict[tuple[UUID, str], _Addition] = {}
    for site in chain.from_iterable(map(visitor_journal.decode, rows)):
        _add_site(additions, site)
    if additions:
        await session.execute(_ADD, _columns(additions))
    return len(rows)


async def delete_old(session: AsyncSession, *, now: datetime, most: int) -> int:
    """Delete profiles last seen before their site's retention, at most so many; returns how many.

    A site's retention is how long its plan keeps events.
    """
    deleted = await session.scalars(_DELETE_OLD, {"now": now, "most": most})
    return len(deleted.all())


def _add_site(additions: dict[tuple[UUID, str], _Addition], site: SiteVisitorEvents) -> None:
    for event in site.visitor_events:
        key = site.site_id, event.visitor_id
        addition = additions.get(key)
        if addition is None:
            addition = additions[key] = _Addition(site.account_id)
        addition.add(event)


def _columns(additions: dict[tuple[UUID, str], _Addition]) -> dict[str, object]:
    # Sorted, so that two tasks with the same profiles wait for each other and never deadlock.
    keys = sorted(additions)
    visitors = [additions[key] for key in keys]
    sessions = [sessions_of(map(from_milliseconds, it.session_times)) for it in visitors]
    return {
        "site_id": [site_id for site_id, _ in keys],
        "visitor_id": [visitor_id for _, visitor_id in keys],
        "account_id": [visitor.account_id for visitor in visitors],
        **{
            name: [visitor.counts[position] for visitor in visitors]
            for position, name in enumerate(COLUMNS)
        },
        "first_seen_at": [from_milliseconds(min(visitor.times)) for visitor in visitors],
        "last_seen_at": [from_milliseconds(max(visitor.times)) for visitor in visitors],
        "sessions": list(map(_multirange, sessions)),
        "session_count": list(map(len, sessions)),
        "reachable": REACHABLE,
    }


def _multirange(ranges: Sequence[tuple[datetime, datetime]]) -> str:
    """PostgreSQL's notation. The ranges are half-open, so adjacent ones become one."""
    return "{" + ",".join(f"[{start.isoformat()},{end.isoformat()})" for start, end in ranges) + "}"
