"""The rules of sites."""

import re
from collections.abc import Collection, Mapping
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.kernel.errors import BadUserInput, Conflict, NotFound
from subgraphs.kernel.graphql import paging
from subgraphs.kernel.identity import credentials
from subgraphs.kernel.identity.tenants import Tenant
from subgraphs.kernel.ids import new_id
from subgraphs.kernel.text import can_be_stored
from subgraphs.sites.models import Site

MAX_NAME = 200

# A host name as a browser's Origin carries it, with a port only where one is needed.
_DOMAIN = re.compile(
    r"(?=.{1,253}(?::|$))[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    r"(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*(:[1-9][0-9]{0,4})?"
)


async def create(
    session: AsyncSession, *, account_id: UUID, owner_id: UUID, name: str, domain: str
) -> Site:
    """Make a site with its key.

    Raises:
        BadUserInput: the name is empty or too long, the domain is no host name.
        Conflict: the domain is taken.
    """
    site = Site(
        id=new_id(),
        account_id=account_id,
        owner_id=owner_id,
        name=_checked_name(name),
        domain=_checked_domain(domain),
        site_key=credentials.new_site_key(),
    )
    session.add(site)
    try:
        await session.flush()
    except IntegrityError as error:
        raise Conflict(f"The domain {site.domain} is already connected.") from error
    session.add(Tenant(site_id=site.id, account_id=account_id, domain=site.domain))
    credentials.store_site_key(session, key=site.site_key, site_id=site.id, account_id=account_id)
    await session.flush()
    await session.refresh(site)
    return site


async def get(session: AsyncSession, *, site_id: UUID) -> Site:
    """One site.

    Raises:
        NotFound: no such site, or not the viewer's.
    """
    site = await session.get(Site, site_id)
    if site is None:
        raise NotFound("There is no such site.")
    return site


async def get_many(session: AsyncSession, site_ids: Collection[UUID]) -> Mapping[UUID, Site]:
    """Those of the sites that the viewer may see, in one statement."""
    rows = await session.scalars(select(Site).where(Site.id.in_(site_ids)))
    return {site.id: site for site in rows}


async def of_accounts(
    session: AsyncSession, account_ids: Collection[UUID], asked: paging.Window
) -> Mapping[UUID, paging.Page[Site]]:
    """A page of each account's sites, in one statement."""
    return await paging.pages_by_parent(session, Site, Site.account_id, account_ids, asked)


async def of_viewer(session: AsyncSession, asked: paging.Window) -> paging.Page[Site]:
    """A page over all the accounts the viewer is in: row security is the filter."""
    return await paging.page(session, Site, asked)


def _checked_name(name: str) -> str:
    name = name.strip()
    if not 1 <= len(name) <= MAX_NAME or not can_be_stored(name):
        raise BadUserInput(f"`name` must have 1 to {MAX_NAME} characters, none of them NUL.")
    return name


def _checked_domain(domain: str) -> str:
    domain = domain.strip().lower()
    if not _DOMAIN.fullmatch(domain):
        raise BadUserInput("`domain` must be a host name like shop.example.com, without https://.")
    return domain
