"""The rules of notifications; those of claims are in `claims` and offered here too."""

from collections.abc import Collection, Mapping
from uuid import UUID

from sqlalchemy import any_, select
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.kernel.errors import Conflict, NotFound
from subgraphs.kernel.graphql import paging
from subgraphs.kernel.ids import new_id
from subgraphs.kernel.reads import Session, Statement, first, rows, uuids
from subgraphs.notifications import template_rules
from subgraphs.notifications.claims import (
    claim_message,
    claims_by_id,
    claims_for,
    claims_of,
    forget_claims,
    save_claims,
    set_cursors,
)
from subgraphs.notifications.models import Notification, Template

__all__ = [
    "activate",
    "claim_message",
    "claims_by_id",
    "claims_for",
    "claims_of",
    "create",
    "forget_claims",
    "get",
    "get_many",
    "of_sites",
    "pause",
    "save_claims",
    "set_cursors",
    "templates",
]

CHANNELS = ["STOREFRONT"]
"""Where notifications are shown; there is one place so far."""

_BY_ID = Statement(select(Notification).where(Notification.id == any_(uuids("ids"))))
_TEMPLATES = Statement(select(Template).where(Template.id == any_(uuids("ids"))))
_HAS_STATUS = {
    status: Notification.status == status for status in ("DRAFT", "ACTIVE", "PAUSED", "ARCHIVED")
}
"""The conditions on the status, made once: compiled statements are kept by them."""


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
    """Draft a notification with a template of its own.

    Raises:
        BadUserInput: the name is empty or too long, the template cannot be used.
    """
    template = Template(
        id=new_id(),
        account_id=account_id,
        site_id=site_id,
        name=template_rules.checked_name(name),
        body=template_rules.checked_body(body),
        css_content=template_rules.checked_css(css),
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


async def get(session: Session, *, notification_id: UUID, lock: bool = False) -> Notification:
    """One notification; locked until the transaction ends where it is to be changed.

    Raises:
        NotFound: no such notification, or not the viewer's.
    """
    if isinstance(session, AsyncSession):
        notification = await session.get(Notification, notification_id, with_for_update=lock)
    else:
        notification = await first(session, _BY_ID, ids=[notification_id])
    if notification is None:
        raise NotFound("There is no such notification.")
    return notification


def activate(notification: Notification) -> None:
    """Show it from now on.

    Raises:
        Conflict: it is archived.
    """
    if notification.status == "ARCHIVED":
        raise Conflict("An archived notification cannot be activated; make a new one.")
    notification.status = "ACTIVE"


def pause(notification: Notification) -> None:
    """Make no claims of it until it is activated again.

    Raises:
        Conflict: it has never been active, or is archived.
    """
    if notification.status not in ("ACTIVE", "PAUSED"):
        raise Conflict("Only an active notification can be paused.")
    notification.status = "PAUSED"


async def get_many(session: Session, ids: Collection[UUID]) -> Mapping[UUID, Notification]:
    """Those of the notifications that the viewer may see, in one statement."""
    return {row.id: row for row in await rows(session, _BY_ID, ids=ids)}


async def of_sites(
    session: Session, site_ids: Collection[UUID], asked: paging.Window, status: str | None
) -> Mapping[UUID, paging.Page[Notification]]:
    """A page of each site's notifications, in one statement."""
    where = [_HAS_STATUS[status]] if status else []
    return await paging.pages_by_parent(
        session, Notification, Notification.site_id, site_ids, asked, *where
    )


async def templates(session: Session, ids: Collection[UUID]) -> Mapping[UUID, Template]:
    """Those of the templates that the viewer may see, in one statement."""
    return {row.id: row for row in await rows(session, _TEMPLATES, ids=ids)}
