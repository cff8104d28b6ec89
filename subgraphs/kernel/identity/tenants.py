"""The tenant directory: each site's account, domain and plan limits.

The sites subgraph writes it; every other domain reads it here instead of importing sites. Under the
app's role row-level security hides other tenants' rows, so another tenant's site looks like a site
that does not exist.
"""

from collections.abc import Collection
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import FetchedValue, any_, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from subgraphs.kernel.db import Base
from subgraphs.kernel.errors import NotFound
from subgraphs.kernel.reads import Session, Statement, rows, uuids

# The table `members` belongs to the users subgraph; a database function hides it from the kernel.
_MEMBERSHIPS_OF = text("SELECT account_id, role FROM memberships_of(:user_id)")


class Memberships(NamedTuple):
    """The accounts of a user, and those in which the user's role is read-only."""

    account_ids: tuple[UUID, ...]
    read_only_ids: tuple[UUID, ...]


class Tenant(Base):
    """A site, as far as the other domains need it."""

    __tablename__ = "tenants"

    site_id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID]
    domain: Mapped[str]
    events_per_second: Mapped[int] = mapped_column(server_default=FetchedValue())
    """Limit of the ingest endpoint, by plan. Billing writes it and `retention_days`."""
    retention_days: Mapped[int] = mapped_column(server_default=FetchedValue())
    """Days that events stay in the ledger, by plan."""


_VISIBLE = Statement(select(Tenant.site_id).where(Tenant.site_id == any_(uuids("ids"))))


async def account_of(session: AsyncSession, *, site_id: UUID) -> UUID:
    """The account that owns a site.

    Raises:
        NotFound: no such site, or it belongs to another tenant.
    """
    account_id = await session.scalar(select(Tenant.account_id).where(Tenant.site_id == site_id))
    if account_id is None:
        raise NotFound("No site with this ID.")
    return account_id


async def set_limits(
    session: AsyncSession, *, site_id: UUID, events_per_second: int, retention_days: int
) -> None:
    """Store the limits of a site's plan."""
    statement = update(Tenant).where(Tenant.site_id == site_id)
    await session.execute(
        statement.values(events_per_second=events_per_second, retention_days=retention_days)
    )


async def visible_sites(session: Session, site_ids: Collection[UUID]) -> set[UUID]:
    """The subset of `site_ids` that the viewer may see, in one statement."""
    return set(await rows(session, _VISIBLE, ids=site_ids))


async def memberships_of(session: AsyncSession, *, user_id: UUID) -> Memberships:
    """The accounts of a user. The edge authz calls it, with the worker's role."""
    found = (await session.execute(_MEMBERSHIPS_OF, {"user_id": user_id})).all()
    read_only = tuple(account_id for account_id, role in found if role == "VIEWER")
    return Memberships(tuple(account_id for account_id, _ in found), read_only)
