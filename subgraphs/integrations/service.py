"""The rules of integrations, and of the webhooks in the inbox.

The inbox's statements are in `inbox/store.py`.
"""

import re
import secrets
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import any_, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.integrations import sealing
from subgraphs.integrations.models import Delivery, Integration, ReceivedWebhook
from subgraphs.integrations.sources import shopify
from subgraphs.kernel.errors import BadUserInput, NotFound
from subgraphs.kernel.graphql import paging
from subgraphs.kernel.ids import new_id
from subgraphs.kernel.reads import Session, Statement, first, rows, uuids
from subgraphs.kernel.streams.envelope import Event

BODY_RETENTION = timedelta(days=30)
"""A body holds buyers' names and addresses. It is processed within seconds and kept for
debugging."""

_SECRET = re.compile(r"[\x21-\x7e]{16,255}")
"""Long enough that nobody guesses it."""

_BY_ID = Statement(select(Integration).where(Integration.id == any_(uuids("ids"))))

_DELETE_BODIES = text("""
    UPDATE inbox SET body = '' WHERE id IN (
        SELECT id FROM inbox WHERE body <> '' AND status <> 'RECEIVED' AND received_at < :before
        LIMIT :most)
    RETURNING id
""")


async def connect_shopify(
    session: AsyncSession, *, account_id: UUID, site_id: UUID, secret: str | None = None
) -> tuple[Integration, str]:
    """Create a Shopify integration; returns it and its secret in plain text.

    Args:
        secret: the secret with which the shop already signs; None generates one.

    Raises:
        BadUserInput: the secret is too short or has characters other than printable ASCII.
    """
    if secret is None:
        secret = secrets.token_hex(32)
    elif not _SECRET.fullmatch(secret):
        raise BadUserInput("`secret` must have 16 to 255 printable ASCII characters, no spaces.")
    integration_id = new_id()
    integration = Integration(
        id=integration_id,
        account_id=account_id,
        site_id=site_id,
        provider="SHOPIFY",
        status="CONNECTED",
        sealed_secret=sealing.seal(secret, context=str(integration_id)),
    )
    session.add(integration)
    await session.flush()
    await session.refresh(integration)
    return integration, secret


async def get(session: Session, *, integration_id: UUID) -> Integration:
    """One integration.

    Raises:
        NotFound: no such integration, or it belongs to another tenant.
    """
    integration = await first(session, _BY_ID, ids=[integration_id])
    if integration is None:
        raise NotFound("No integration with this ID.")
    return integration


async def get_many(session: Session, ids: Collection[UUID]) -> Mapping[UUID, Integration]:
    """The integrations by id, without those that the viewer may not see; one statement."""
    return {row.id: row for row in await rows(session, _BY_ID, ids=ids)}


async def list_for_sites(
    session: Session, site_ids: Collection[UUID], requested: paging.Window
) -> Mapping[UUID, paging.Page[Integration]]:
    """A page of each site's integrations, in one statement."""
    return await paging.pages_by_parent(
        session, Integration, Integration.site_id, site_ids, requested
    )


async def list_deliveries(
    session: Session, integration_ids: Collection[UUID], requested: paging.Window
) -> Mapping[UUID, paging.Page[Delivery]]:
    """A page of each integration's deliveries without their bodies, in one statement."""
    return await paging.pages_by_parent(
        session, Delivery, Delivery.integration_id, integration_ids, requested
    )


async def delete_bodies(session: AsyncSession, *, now: datetime, most: int) -> int:
    """Empty at most `most` bodies older than `BODY_RETENTION`; returns how many.

    The rows stay: merchants see them, and they identify repeated deliveries.
    """
    emptied = await session.scalars(_DELETE_BODIES, {"before": now - BODY_RETENTION, "most": most})
    return len(emptied.all())


def normalise(webhook: ReceivedWebhook) -> list[Event]:
    """The source events of a webhook; none for an unused topic, a test or a cancelled order.

    Raises:
        sources.Unreadable: the body does not have the documented shape.
    """
    return shopify.events_of(webhook)
