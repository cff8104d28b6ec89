"""Stored claims: writes for the stream worker, reads for the graph."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Uuid, any_, literal, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.kernel.graphql import paging
from subgraphs.notifications.models import Claim

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
    -- A stored row stays unchanged. DO NOTHING would not return it.
    ON CONFLICT (id) DO UPDATE SET cursor = claims.cursor
    RETURNING *
""").columns(*Claim.__table__.columns)

_SET_CURSORS = text("""
    UPDATE claims SET cursor = new.cursor
    FROM unnest(CAST(:ids AS uuid[]), CAST(:cursors AS text[])) AS new (id, cursor)
    WHERE claims.id = new.id AND claims.cursor IS DISTINCT FROM new.cursor
""")

# Within the retention, a repeated event makes its claim again, and the live channel can repeat it.
# The claim must still exist then.
_DELETE_CLAIMS = text("""
    DELETE FROM claims WHERE id IN (
        SELECT c.id FROM claims AS c JOIN tenants AS t USING (site_id)
        WHERE greatest(c.published_at, c.occurred_at)
                < CAST(:now AS timestamptz) - make_interval(days => t.retention_days)
          AND c.published_at < CAST(:now AS timestamptz) - make_interval(
              days => (SELECT min(retention_days) FROM tenants))
        LIMIT :most)
    RETURNING id
""")


async def get_many(session: AsyncSession, ids: Collection[UUID]) -> dict[UUID, Claim]:
    """The claims by id, published or not, in one statement; ids without a claim are absent."""
    if not ids:
        return {}
    # One array parameter: a batch may have more ids than PostgreSQL accepts parameters.
    statement = select(Claim).where(Claim.id == any_(literal(list(ids), ARRAY(Uuid))))
    rows = await session.scalars(statement)
    return {row.id: row for row in rows}


async def list_for_notifications(
    session: AsyncSession, notification_ids: Collection[UUID], requested: paging.Window
) -> Mapping[UUID, paging.Page[Claim]]:
    """A page of each notification's published claims, in one statement."""
    return await paging.pages_by_parent(
        session,
        Claim,
        Claim.notification_id,
        notification_ids,
        requested,
        Claim.cursor.is_not(None),
    )


async def save_claims(session: AsyncSession, claims: Sequence[Claim]) -> list[Claim]:
    """Store the new claims in one statement; returns the stored rows in the order of `claims`.

    A claim that is already stored stays unchanged.
    """
    # Sorted: two writers of the same rows wait for each other and never deadlock.
    rows = [claim for _, claim in sorted({claim.id: claim for claim in claims}.items())]
    if not rows:
        return []
    values: dict[str, list[Any]] = {
        "id": [row.id for row in rows],
        "account_id": [row.account_id for row in rows],
        "site_id": [row.site_id for row in rows],
        "notification_id": [row.notification_id for row in rows],
        # PostgreSQL requires arrays of arrays to be rectangular, so each becomes a literal.
        "source_event_ids": [f"{{{','.join(map(str, row.source_event_ids))}}}" for row in rows],
        "text": [row.text for row in rows],
        "url": [row.url for row in rows],
        "occurred_at": [row.occurred_at for row in rows],
        "published_at": [row.published_at for row in rows],
        "variant_id": [row.variant_id for row in rows],
    }
    stored = await session.scalars(select(Claim).from_statement(_SAVE), values)
    by_id = {row.id: row for row in stored}
    return [by_id[claim.id] for claim in claims]


async def set_cursors(session: AsyncSession, cursors: Mapping[UUID, str]) -> None:
    """Store the claims' cursors in the live channel; a claim with a cursor is published."""
    if cursors:
        values = {"ids": list(cursors), "cursors": list(cursors.values())}
        await session.execute(_SET_CURSORS, values)


async def delete_claims(session: AsyncSession, *, now: datetime, most: int) -> int:
    """Delete at most `most` claims older than their site's event retention; returns how many."""
    deleted = await session.scalars(_DELETE_CLAIMS, {"now": now, "most": most})
    return len(deleted.all())


def claim_message(claim: Claim) -> dict[str, Any]:
    """The message of the live channel for a claim; the channel adds the cursor."""
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
