"""The rules of integrations and of the inbox."""

import re
import secrets
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.integrations import sealing
from subgraphs.integrations.models import Delivery, InboxItem, Integration
from subgraphs.integrations.sources import shopify
from subgraphs.kernel import jobs, task_names
from subgraphs.kernel.errors import BadUserInput, NotFound
from subgraphs.kernel.graphql import paging
from subgraphs.kernel.ids import new_id
from subgraphs.kernel.streams.envelope import Event

BODIES_KEPT = timedelta(days=30)
"""What a shop sent says who bought and where they live. It is read within seconds; for so long one
may look at what it was read from."""

_SECRET = re.compile(r"[\x21-\x7e]{16,255}")
"""What a shop may sign with: long enough that nobody guesses it."""

_FORGET_BODIES = text("""
    UPDATE inbox SET body = '' WHERE id IN (
        SELECT id FROM inbox WHERE body <> '' AND status <> 'RECEIVED' AND received_at < :before
        LIMIT :most)
    RETURNING id
""")


class Sender(NamedTuple):
    """An integration as the door sees it."""

    integration_id: UUID
    site_id: UUID
    account_id: UUID
    sealed_secret: bytes

    def secret(self) -> str:
        return sealing.unseal(self.sealed_secret, context=str(self.integration_id))


class Webhook(NamedTuple):
    """What a shop sent, as it came."""

    delivery_id: str
    event_id: str | None
    topic: str
    body: bytes


async def connect_shopify(
    session: AsyncSession, *, account_id: UUID, site_id: UUID, secret: str | None = None
) -> tuple[Integration, str]:
    """Connect a shop; answers the secret in plain, for the last time.

    Args:
        secret: what the shop already signs with; one is made without it.

    Raises:
        BadUserInput: the secret is short, or has characters that no shop would sign with.
    """
    if secret is None:
        secret = secrets.token_hex(32)
    elif not _SECRET.fullmatch(secret):
        raise BadUserInput("`secret` must have 16 to 255 letters, digits and signs, no spaces.")
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


async def get(session: AsyncSession, *, integration_id: UUID) -> Integration:
    """One integration.

    Raises:
        NotFound: no such integration, or not the viewer's.
    """
    integration = await session.get(Integration, integration_id)
    if integration is None:
        raise NotFound("There is no such integration.")
    return integration


async def get_many(session: AsyncSession, ids: Collection[UUID]) -> Mapping[UUID, Integration]:
    """Those of the integrations that the viewer may see, in one statement."""
    rows = await session.scalars(select(Integration).where(Integration.id.in_(ids)))
    return {row.id: row for row in rows}


async def of_sites(
    session: AsyncSession, site_ids: Collection[UUID]
) -> Mapping[UUID, list[Integration]]:
    """The sites' integrations, oldest first, in one statement."""
    statement = select(Integration).where(Integration.site_id.in_(site_ids))
    found: dict[UUID, list[Integration]] = {site_id: [] for site_id in site_ids}
    for row in await session.scalars(statement.order_by(Integration.id)):
        found[row.site_id].append(row)
    return found


async def deliveries_of(
    session: AsyncSession, integration_ids: Collection[UUID], asked: paging.Window
) -> Mapping[UUID, paging.Page[Delivery]]:
    """A page of what each integration sent, in one statement and without the bodies."""
    return await paging.pages_by_parent(
        session, Delivery, Delivery.integration_id, integration_ids, asked
    )


async def find_sender(session: AsyncSession, *, integration_id: UUID) -> Sender | None:
    """Who signs with which secret; None for an integration there is none of."""
    statement = select(
        Integration.id, Integration.site_id, Integration.account_id, Integration.sealed_secret
    ).where(Integration.id == integration_id, Integration.status == "CONNECTED")
    row = (await session.execute(statement)).one_or_none()
    return Sender(*row) if row else None


async def receive(
    session: AsyncSession, *, sender: Sender, webhook: Webhook, error: str | None = None
) -> bool:
    """Keep a webhook and have it read; False where this delivery is already there.

    Args:
        error: why it cannot be read at all; it is then kept for the merchant to see, no more.
    """
    inbox_id = new_id()
    statement = (
        insert(InboxItem)
        .values(
            id=inbox_id,
            account_id=sender.account_id,
            site_id=sender.site_id,
            integration_id=sender.integration_id,
            **webhook._asdict(),
            status="REJECTED" if error else "RECEIVED",
            error=error,
            processed_at=datetime.now(UTC) if error else None,
        )
        .on_conflict_do_nothing(index_elements=["integration_id", "delivery_id"])
        .returning(InboxItem.id)
    )
    if await session.scalar(statement) is None:
        return False
    if error is None:
        jobs.enqueue(session, task_names.PROCESS_INBOX, inbox_id=str(inbox_id))
    return True


async def forget_bodies(session: AsyncSession, *, now: datetime, most: int) -> int:
    """Empty at most so many bodies of webhooks that are done with; how many.

    The rows stay: merchants see them, and a delivery that comes again is known by its own.
    """
    emptied = await session.scalars(_FORGET_BODIES, {"before": now - BODIES_KEPT, "most": most})
    return len(emptied.all())


def normalise(item: InboxItem) -> list[Event]:
    """The source events in a webhook; none where its topic or content tells nothing of use.

    Raises:
        sources.Unreadable: its content is not what the sender documents.
    """
    return shopify.events_of(item)
