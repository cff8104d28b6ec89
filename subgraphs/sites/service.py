"""The rules of sites."""

import re
from collections.abc import Collection, Mapping
from uuid import UUID

from sqlalchemy import any_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.kernel.errors import BadUserInput, Conflict, NotFound
from subgraphs.kernel.graphql import paging
from subgraphs.kernel.identity import credentials
from subgraphs.kernel.identity.tenants import Tenant
from subgraphs.kernel.ids import new_id
from subgraphs.kernel.reads import Session, Statement, first, rows, uuids
from subgraphs.kernel.text import can_be_stored
from subgraphs.sites.models import Site

MAX_NAME = 200

# A host name as in a browser's Origin header, with a port unless it is the default one.
_DOMAIN = re.compile(
    r"(?=.{1,253}(?::|$))[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    r"(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*(:[1-9][0-9]{0,4})?"
)

_BY_ID = Statement(select(Site).where(Site.id == any_(uuids("ids"))))


async def create(
    session: AsyncSession, *, account_id: UUID, owner_id: UUID, name: str, domain: str
) -> Site:
    """Create a site with a new site key.

    Raises:
        BadUserInput: the name is empty or too long, or the domain is not a host name.
        Conflict: another site has this domain.
    """
    site = Site(
        id=new_id(),
        account_id=account_id,
        owner_id=owner_id,
        name=_validate_name(name),
        domain=_validate_domain(domain),
        site_key=credentials.new_site_key(),
    )
    session.add(site)
    try:
        await session.flush()
    except IntegrityError as error:
        raise Conflict(f"A site with the domain {site.domain} already exists.") from error
    session.add(Tenant(site_id=site.id, account_id=account_id, domain=site.domain))
    credentials.store_site_key(session, key=site.site_key, site_id=site.id, account_id=account_id)
    await session.flush()
    await session.refresh(site)
    return site


async def get(session: Session, *, site_id: UUID) -> Site:
    """One site.

    Raises:
        NotFound: no such site, or it belongs to another tenant.
    """
    site = await first(session, _BY_ID, ids=[site_id])
    if site is None:
        raise NotFound("No site with this ID.")
    return site


async def get_many(session: Session, site_ids: Collection[UUID]) -> Mapping[UUID, Site]:
    """The sites by id, without those that the viewer may not see; one statement."""
    return {site.id: site for site in await rows(session, _BY_ID, ids=site_ids)}


async def list_for_accounts(
    session: Session, account_ids: Collection[UUID], requested: paging.Window
) -> Mapping[UUID, paging.Page[Site]]:
    """A page of each account's sites, in one statement."""
    return await paging.pages_by_parent(session, Site, Site.account_id, account_ids, requested)


async def list_for_viewer(session: Session, requested: paging.Window) -> paging.Page[Site]:
    """A page of the sites of all the viewer's accounts; row-level security filters them."""
    return await paging.page(session, Site, requested)


def _validate_name(name: str) -> str:
    name = name.strip()
    if not 1 <= len(name) <= MAX_NAME or not can_be_stored(name):
        raise BadUserInput(f"`name` must have 1 to {MAX_NAME} characters, none of them NUL.")
    return name


def _validate_domain(domain: str) -> str:
    domain = domain.strip().lower()
    if not _DOMAIN.fullmatch(domain):
        raise BadUserInput("`domain` must be a host name like shop.example.com, without https://.")
    return domain
