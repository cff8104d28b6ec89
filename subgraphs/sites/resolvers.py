"""Query and Mutation of sites: permission, service, type."""

from typing import cast
from uuid import UUID

import strawberry

from subgraphs.kernel import db
from subgraphs.kernel.graphql.connections import Connection, connection
from subgraphs.kernel.graphql.context import Info
from subgraphs.kernel.graphql.loading import ChildKey
from subgraphs.kernel.graphql.paging import window
from subgraphs.kernel.graphql.types import to_uuid
from subgraphs.kernel.identity.permissions import in_account, may_change
from subgraphs.sites import service
from subgraphs.sites.loaders import SitesOfAccount
from subgraphs.sites.types import CreateSiteInput, Site


async def site(info: Info, id: strawberry.ID) -> Site | None:
    async with db.read(info.context.viewer) as session:
        return Site.of(await service.get(session, site_id=to_uuid(id)))


async def sites(
    info: Info,
    account_id: strawberry.ID | None = None,
    first: int = 20,
    after: str | None = None,
) -> Connection[Site]:
    requested = window(first, after)
    if account_id is not None:
        account = in_account(info.context.viewer, account_id)
        key = ChildKey(account, requested)
        return connection(await info.context.loader(SitesOfAccount).load(key), Site.of)
    async with db.read(info.context.viewer) as session:
        return connection(await service.list_for_viewer(session, requested), Site.of)


async def create_site(info: Info, input: CreateSiteInput) -> Site:
    viewer = info.context.viewer
    account_id = in_account(viewer, input.account_id)
    may_change(viewer, account_id)
    async with db.transaction(viewer) as session:
        row = await service.create(
            session,
            account_id=account_id,
            owner_id=cast(UUID, viewer.id),
            name=input.name,
            domain=input.domain,
        )
        return Site.of(row)
