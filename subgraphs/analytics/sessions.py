"""The step `sessionise`: what each visitor has done, in `visitor_profiles`.

A session is a visitor's events at a site with no more than `SILENCE` between one and the next;
orders do not make one, they come from the shop and not from a page. `session_count` is how many
there are, in whatever order the events come: a late one that lies between two sessions makes them
one. `behavior_score` says how much a visitor has shown interest, from 0 to just below 1:

    points = 2 · (sessions - 1) + views + 5 · clicks + 10 · goals + 20 · orders
    behavior_score = points / (points + 20)

so one page is worth 0.05, a click on a claim 0.2, an order 0.5, and nothing lowers it. (PostgreSQL
computes it, see deploy/migrations/sql/visitor_profiles.sql.)

Only events that are new in the ledger add to a profile, in the transaction that adds them there:
a batch that comes again changes nothing. Sessions that a late event can still reach are kept as
ranges of time, which PostgreSQL unites; older ones are a number. An event that comes later than the
doors allow, as from the dead letters, may count a session twice.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics import snippet_events
from subgraphs.analytics.batch import GOAL_REACHED, ORDER_CREATED, PAGE_VIEWED, SNIPPET, Batch

SILENCE = timedelta(minutes=30)
"""After this long without an event the next one begins a session; web analytics agree on it."""

REACHABLE = snippet_events.MAX_AGE + SILENCE + timedelta(hours=2)
"""How long before the newest event a session may have ended for a late event to join it. The two
hours are for clocks ahead of ours, a shop's among them."""

_COUNTED = {
    PAGE_VIEWED: "views",
    GOAL_REACHED: "goals",
    ORDER_CREATED: "orders",
    "shown": "shown",
    "clicked": "clicks",
    "dismissed": "dismissals",
    "withheld": "withheld",
}

_UPSERT = text("""
    INSERT INTO visitor_profiles AS p
        (site_id, visitor_id, account_id, views, goals, orders, shown, clicks, dismissals, withheld,
         first_seen_at, last_seen_at, open_sessions, session_count)
    SELECT site_id, visitor_id, account_id, views, goals, orders, shown, clicks, dismissals,
           withheld, first_seen_at, last_seen_at, sessions::tstzmultirange,
           (SELECT count(*) FROM unnest(sessions::tstzmultirange))
    FROM unnest(
        CAST(:site_id AS uuid[]), CAST(:visitor_id AS text[]), CAST(:account_id AS uuid[]),
        CAST(:views AS int[]), CAST(:goals AS int[]), CAST(:orders AS int[]),
        CAST(:shown AS int[]), CAST(:clicks AS int[]), CAST(:dismissals AS int[]),
        CAST(:withheld AS int[]), CAST(:first_seen_at AS timestamptz[]),
        CAST(:last_seen_at AS timestamptz[]), CAST(:sessions AS text[])
    ) AS new (site_id, visitor_id, account_id, views, goals, orders, shown, clicks, dismissals,
              withheld, first_seen_at, last_seen_at, sessions)
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


@dataclass
class _Seen:
    """What a batch adds to one visitor's profile."""

    account_id: UUID
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_COUNTED.values(), 0))
    moments: list[datetime] = field(default_factory=list)
    """Of all events."""
    active: list[datetime] = field(default_factory=list)
    """Of those that make sessions."""


class _Deed(NamedTuple):
    """One new event of a visitor."""

    site_id: UUID
    visitor_id: str | None
    account_id: UUID
    type: str
    moment: datetime
    on_a_page: bool


async def sessionise(session: AsyncSession, batch: Batch) -> None:
    """Add what is new in the ledger to its visitors' profiles, in one statement."""
    seen: dict[tuple[UUID, str], _Seen] = {}
    for deed in _deeds(batch):
        column = _COUNTED.get(deed.type)
        if column is None or not deed.visitor_id:
            continue
        visitor = seen.setdefault((deed.site_id, deed.visitor_id), _Seen(deed.account_id))
        visitor.counts[column] += 1
        visitor.moments.append(deed.moment)
        if deed.on_a_page:
            visitor.active.append(deed.moment)
    if seen:
        await session.execute(_UPSERT, _columns(seen))


def sessions_of(moments: Iterable[datetime]) -> list[tuple[datetime, datetime]]:
    """Each session from its first event to `SILENCE` after its last, in order."""
    found: list[tuple[datetime, datetime]] = []
    for moment in sorted(moments):
        if found and moment <= found[-1][1]:
            found[-1] = found[-1][0], moment + SILENCE
        else:
            found.append((moment, moment + SILENCE))
    return found


def _deeds(batch: Batch) -> Iterable[_Deed]:
    for e in batch.new_events:
        on_a_page = e.source == SNIPPET
        yield _Deed(e.site_id, e.visitor_id, e.account_id, e.type, e.occurred_at, on_a_page)
    for h in batch.new_happenings:
        yield _Deed(h.site_id, h.visitor_id, h.account_id, h.event_type, h.created_at, True)


def _columns(seen: dict[tuple[UUID, str], _Seen]) -> dict[str, object]:
    # In one order for all: two workers that meet in the same rows wait and never deadlock.
    keys = sorted(seen)
    visitors = [seen[key] for key in keys]
    return {
        "site_id": [site_id for site_id, _ in keys],
        "visitor_id": [visitor_id for _, visitor_id in keys],
        "account_id": [visitor.account_id for visitor in visitors],
        **{
            column: [visitor.counts[column] for visitor in visitors] for column in _COUNTED.values()
        },
        "first_seen_at": [min(visitor.moments) for visitor in visitors],
        "last_seen_at": [max(visitor.moments) for visitor in visitors],
        "sessions": [_multirange(sessions_of(visitor.active)) for visitor in visitors],
        "reachable": REACHABLE,
    }


def _multirange(ranges: Sequence[tuple[datetime, datetime]]) -> str:
    """As PostgreSQL writes it: half-open, so that what begins where another ends is one with it."""
    written = (f"[{_utc(start)},{_utc(end)})" for start, end in ranges)
    return "{" + ",".join(written) + "}"


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
