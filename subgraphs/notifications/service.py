"""The rules of notifications and their templates."""

from collections.abc import Collection, Mapping
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.kernel.errors import Conflict, NotFound
from subgraphs.kernel.graphql import paging
from subgraphs.kernel.ids import new_id
from subgraphs.notifications import template_rules
from subgraphs.notifications.models import Notification, Template

CHANNELS = ["STOREFRONT"]
"""Where claims are shown: the storefront is the only channel."""


async def create(
    session: AsyncSession,
    *,
    account_id: UUID,
    site_id: UUID,
    name: str,
    type_: str,
    body: str | None = None,
    css: str | None = None,
) -> Notification:
    """Create a notification with its own template, as a draft.

    Raises:
        BadUserInput: the name is empty or too long, or the template is not valid.
    """
    template = Template(
        id=new_id(),
        account_id=account_id,
        site_id=site_id,
        name=template_rules.validate_name(name),
        body=template_rules.validate_body(body),
        css_content=template_rules.validate_css(css),
    )
    session.add(template)
    await session.flush()
    notification = Notification(
        id=new_id(),
        account_id=account_id,
        site_id=site_id,
        template_id=template.id,
        name=template.name,
        type=type_,
        status="DRAFT",
        channels=CHANNELS,
    )
    session.add(notification)
    await session.flush()
    await session.refresh(notification)
    return notification


async def get(session: AsyncSession, *, notification_id: UUID, lock: bool = False) -> Notification:
    """One notification; `lock` locks its row until the transaction ends.

    Raises:
        NotFound: no such notification, or it belongs to another tenant.
    """
    notification = await session.get(Notification, notification_id, with_for_update=lock)
    if notification is None:
        raise NotFound("No notification with this ID.")
    return notification


def activate(notification: Notification) -> None:
    """Make claims of new events from now on.

    Raises:
        Conflict: the notification is archived.
    """
    if notification.status == "ARCHIVED":
        raise Conflict("An archived notification cannot be activated; create a new one.")
    notification.status = "ACTIVE"


def pause(notification: Notification) -> None:
    """Make no claims until the notification is activated again.

    Raises:
        Conflict: the notification was never active, or is archived.
    """
    if notification.status not in ("ACTIVE", "PAUSED"):
        raise Conflict("Only an active notification can be paused; activate it first.")
    notification.status = "PAUSED"


async def get_many(session: AsyncSession, ids: Collection[UUID]) -> Mapping[UUID, Notification]:
    """The notifications by id, without those that the viewer may not see; one statement."""
    rows = await session.scalars(select(Notification).where(Notification.id.in_(ids)))
    return {row.id: row for row in rows}


async def list_for_sites(
    session: AsyncSession,
    site_ids: Collection[UUID],
    requested: paging.Window,
    status: str | None,
) -> Mapping[UUID, paging.Page[Notification]]:
    """A page of each site's notifications, of one status or of all, in one statement."""
    where = [Notification.status == status] if status else []
    return await paging.pages_by_parent(
        session, Notification, Notification.site_id, site_ids, requested, *where
    )


async def get_templates(session: AsyncSession, ids: Collection[UUID]) -> Mapping[UUID, Template]:
    """The templates by id, without those that the viewer may not see; one statement."""
    rows = await session.scalars(select(Template).where(Template.id.in_(ids)))
    return {row.id: row for row in rows}
