"""The GraphQL types of sites."""

from __future__ import annotations

from datetime import datetime
from typing import Self
from uuid import UUID

import strawberry

from subgraphs.kernel.graphql.connections import Connection, connection
from subgraphs.kernel.graphql.context import Info
from subgraphs.kernel.graphql.loading import ChildKey
from subgraphs.kernel.graphql.paging import window
from subgraphs.kernel.graphql.types import to_id, to_uuid
from subgraphs.kernel.identity.permissions import IsUser
from subgraphs.sites import models
from subgraphs.sites.loaders import SiteById, SitesOfAccount


@strawberry.federation.type(keys=["id"])
class Site:
    """A shop. Its site key is public: the shop's pages contain it."""

    id: strawberry.ID
    name: str
    domain: str
    site_key: str
    created_at: datetime
    account_id: strawberry.Private[UUID]

    @strawberry.field
    def account(self) -> Account:
        return Account(id=to_id(self.account_id))

    @classmethod
    async def resolve_reference(cls, info: Info, id: strawberry.ID) -> Self | None:
        row = await info.context.loader(SiteById).load(to_uuid(id))
        return cls.of(row) if row else None

    @classmethod
    def of(cls, row: models.Site) -> Self:
        return cls(
            id=to_id(row.id),
            name=row.name,
            domain=row.domain,
            site_key=row.site_key,
            created_at=row.created_at,
            account_id=row.account_id,
        )


@strawberry.federation.type(keys=["id"])
class Account:
    """A merchant's organisation; this subgraph adds its sites."""

    id: strawberry.ID

    @strawberry.field(permission_classes=[IsUser])
    async def sites(
        self, info: Info, first: int = 20, after: str | None = None
    ) -> Connection[Site]:
        key = ChildKey(to_uuid(self.id), window(first, after))
        return connection(await info.context.loader(SitesOfAccount).load(key), Site.of)

    @classmethod
    def resolve_reference(cls, id: strawberry.ID) -> Self:
        return cls(id=id)


@strawberry.input
class CreateSiteInput:
    account_id: strawberry.ID
    name: str
    domain: str = strawberry.field(
        description="A host name such as shop.example.com, without https://."
    )
