"""The claims: what the stream worker makes of events, and what of them the graph shows."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import any_, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.kernel.graphql import paging
from subgraphs.kernel.ids import derived_id, moment_of
from subgraphs.kernel.reads import Session, Statement, rows, uuids
from subgraphs.kernel.streams.envelope import Event
from subgraphs.kernel.text import can_be_stored
from subgraphs.notifications import ab_tests, template_cache, template_rendering
from subgraphs.notifications.models import Claim
from subgraphs.notifications.template_cache import Wording

MAX_URL = 2_000
"""Characters; beyond it browsers and proxies begin to refuse."""

_MADE_OF = {"RECENT_ORDER": "order.created"}
"""The event each type of notification tells of."""

_IS_PUBLISHED = Claim.cursor.is_not(None)
# One array instead of a parameter each: a batch may have more than PostgreSQL takes.
_BY_ID = Statement(select(Claim).where(Claim.id == any_(uuids("ids"))))


async def claims_of(
    session: Session, notification_ids: Collection[UUID], asked: paging.Window
) -> Mapping[UUID, paging.Page[Claim]]:
    """A page of each notification's published claims, in one statement."""
    return await paging.pages_by_parent(
        session, Claim, Claim.notification_id, notification_ids, asked, _IS_PUBLISHED
    )


async def claims_by_id(session: Session, ids: Collection[UUID]) -> dict[UUID, Claim]:
    """These claims, published or not; those there are none of are absent."""
    if not ids:
        return {}
    return {row.id: row for row in await rows(session, _BY_ID, ids=list(ids))}


class _Match(NamedTuple):
    """An event and a notification that tells of such events."""

    event: Event
    wording: Wording

    @property
    def claim_id(self) -> UUID:
        return derived_id(moment_of(self.event.id), self.wording.notification_id, self.event.id)


async def claims_for(session: AsyncSession, events: Sequence[Event]) -> list[Claim]:
    """What the sites' active notifications say about these events, in the events' order.

    Nothing is written. A repeated event makes the same claim again: its id is derived. That holds
    also where a claim is already stored and the notification was paused, or worded anew, in
    between.
    """
    told = [event for event in events if event.type in _MADE_OF.values()]
    matches = await _matches(session, told) if told else []
    drafts = {match.claim_id: _draft(match) for match in matches}
    stored = await claims_by_id(session, [id_ for id_, draft in drafts.items() if draft is None])
    claims = [drafts[match.claim_id] or stored.get(match.claim_id) for match in matches]
    return [claim for claim in claims if claim]


async def _matches(session: AsyncSession, events: Sequence[Event]) -> list[_Match]:
    of_site = await template_cache.of_sites(session, {event.site_id for event in events})
    return [
        _Match(event, wording)
        for event in events
        for wording in of_site[event.site_id]
        if _MADE_OF[wording.type] == event.type
    ]


_SAVE = text("""
    INSERT INTO claims (id, account_id, site_id, notification_id, source_event_ids, text, url,
                        occurred_at, published_at, variant_id)
    SELECT id, account_id, site_id, notification_id, CAST(source_event_ids AS uuid[]), text, url,
           occurred_at, published_at, variant_id
    FROM unnest(
        CAST(:id AS uuid[]), CAST(:account_id AS uuid[]), CAST(:site_id AS uuid[]),
        CAST(:notification_id AS uuid[]), CAST(:source_event_ids AS text[]),
        CAST(:text AS text[]), CAST(:url AS text[]), CAST(:occurred_at AS timestamptz[]),
        CAST(:published_at AS timestamptz[]), CAST(:variant_id AS uuid[])
    ) AS new (id, account_id, site_id, notification_id, source_event_ids, text, url, occurred_at,
              published_at, variant_id)
    -- A row that is there stays as it is; DO NOTHING would not return it.
    ON CONFLICT (id) DO UPDATE SET cursor = claims.cursor
    RETURNING *
""").columns(*Claim.__table__.columns)


async def save_claims(session: AsyncSession, claims: Sequence[Claim]) -> list[Claim]:
    """Keep what is new, in one statement; answers the stored rows in the order given."""
    # Sorted: two writers that meet in the same rows wait for each other and never deadlock.
    new = [claim for _, claim in sorted({claim.id: claim for claim in claims}.items())]
    if not new:
        return []
    values: dict[str, list[Any]] = {
        "id": [row.id for row in new],
        "account_id": [row.account_id for row in new],
        "site_id": [row.site_id for row in new],
        "notification_id": [row.notification_id for row in new],
        # An array of arrays would have to be rectangular; a literal each has no such limit.
        "source_event_ids": [f"{{{','.join(map(str, row.source_event_ids))}}}" for row in new],
        "text": [row.text for row in new],
        "url": [row.url for row in new],
        "occurred_at": [row.occurred_at for row in new],
        "published_at": [row.published_at for row in new],
        "variant_id": [row.variant_id for row in new],
    }
    stored = await session.scalars(select(Claim).from_statement(_SAVE), values)
    by_id = {row.id: row for row in stored}
    return [by_id[claim.id] for claim in claims]


_SET_CURSORS = text("""
    UPDATE claims SET cursor = new.cursor
    FROM unnest(CAST(:ids AS uuid[]), CAST(:cursors AS text[])) AS new (id, cursor)
    WHERE claims.id = new.id AND claims.cursor IS DISTINCT FROM new.cursor
""")


async def set_cursors(session: AsyncSession, cursors: Mapping[UUID, str]) -> None:
    """Note the places that claims have in the live channel: with it they are published."""
    if cursors:
        values = {"ids": list(cursors), "cursors": list(cursors.values())}
        await session.execute(_SET_CURSORS, values)


# As long as an event behind it may be told again and count, or a channel repeats it, a claim stays.
_FORGET = text("""
    DELETE FROM claims WHERE id IN (
        SELECT c.id FROM claims AS c JOIN tenants AS t USING (site_id)
        WHERE greatest(c.published_at, c.occurred_at)
                < CAST(:now AS timestamptz) - make_interval(days => t.retention_days)
          AND c.published_at < CAST(:now AS timestamptz) - make_interval(
              days => (SELECT min(retention_days) FROM tenants))
        LIMIT :most)
    RETURNING id
""")


async def forget_claims(session: AsyncSession, *, now: datetime, most: int) -> int:
    """Delete at most so many claims that are as old as their plan keeps events; how many."""
    deleted = await session.scalars(_FORGET, {"now": now, "most": most})
    return len(deleted.all())


def claim_message(claim: Claim) -> dict[str, Any]:
    """A claim as the live channel carries it; its cursor is its place there."""
    return {
        "id": str(claim.id),
        "text": claim.text,
        "url": claim.url,
        "occurredAt": claim.occurred_at.isoformat(),
        "publishedAt": claim.published_at.isoformat(),
        "notificationId": str(claim.notification_id),
        "siteId": str(claim.site_id),
        "sourceEventIds": [str(id_) for id_ in claim.source_event_ids],
    }


def _draft(match: _Match) -> Claim | None:
    """What is said of an event now; None where nothing is."""
    event, wording = match
    if wording.status != "ACTIVE":
        return None
    claim_id = match.claim_id
    variant = ab_tests.chosen(claim_id, wording.variants)
    line = template_rendering.render(variant.body if variant else wording.body, _facts(event))
    if line is None:
        return None
    return Claim(
        id=claim_id,
        account_id=wording.account_id,
        site_id=wording.site_id,
        notification_id=wording.notification_id,
        source_event_ids=[event.id],
        text=line,
        url=_https(event.payload.get("productUrl")),
        occurred_at=event.occurred_at,
        published_at=datetime.now(UTC),
        variant_id=variant.id if variant else None,
    )


def _facts(order: Event) -> dict[str, object]:
    return {
        "first_name": order.payload.get("firstName"),
        "city": order.payload.get("city"),
        "country": order.payload.get("countryName"),
        "product": order.payload.get("product"),
        "quantity": order.payload.get("quantity"),
    }


def _https(url: object) -> str | None:
    """An address that a visitor may be sent to, or None."""
    if not isinstance(url, str) or len(url) > MAX_URL or not can_be_stored(url):
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return url if parts.scheme == "https" and parts.hostname else None
