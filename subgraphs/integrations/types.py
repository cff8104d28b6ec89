"""What the graph shows of integrations."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Self
from uuid import UUID

import strawberry

from subgraphs.integrations import models
from subgraphs.integrations.loaders import (
    DeliveriesOfIntegration,
    IntegrationById,
    IntegrationsOfSite,
)
from subgraphs.kernel.graphql.connections import Connection, connection
from subgraphs.kernel.graphql.context import Info
from subgraphs.kernel.graphql.loading import ChildKey
from subgraphs.kernel.graphql.paging import window
from subgraphs.kernel.graphql.types import to_id, to_uuid
from subgraphs.kernel.identity.permissions import IsUser


@strawberry.enum(description="Which outside system it is.")
class IntegrationProvider(Enum):
    SHOPIFY = "SHOPIFY"


@strawberry.enum(description="Whether its webhooks are taken.")
class IntegrationStatus(Enum):
    CONNECTED = "CONNECTED"


@strawberry.enum(description="What became of a webhook.")
class DeliveryStatus(Enum):
    RECEIVED = strawberry.enum_value("RECEIVED", description="Kept, about to be read.")
    PROCESSED = strawberry.enum_value("PROCESSED", description="It told of something new.")
    IGNORED = strawberry.enum_value(
        "IGNORED", description="A topic we do not use, a test order, a cancelled one."
    )
    REJECTED = strawberry.enum_value("REJECTED", description="Unreadable; `error` says why.")


@strawberry.type
class Delivery:
    """One webhook that was received; its content is not shown again."""

    id: strawberry.ID
    topic: str
    status: DeliveryStatus
    received_at: datetime
    error: str | None

    @classmethod
    def of(cls, row: models.Delivery) -> Self:
        return cls(
            id=to_id(row.id),
            topic=row.topic,
            status=DeliveryStatus(row.status),
            received_at=row.received_at,
            error=row.error,
        )


@strawberry.federation.type(keys=["id"])
class Integration:
    """An outside system that a site is connected to."""

    id: strawberry.ID
    provider: IntegrationProvider
    status: IntegrationStatus
    created_at: datetime
    site_id: strawberry.Private[UUID]

    @strawberry.field
    def site(self) -> Site:
        return Site(id=to_id(self.site_id))

    @strawberry.field(description="What it sent, newest first.")
    async def deliveries(
        self, info: Info, first: int = 20, after: str | None = None
    ) -> Connection[Delivery]:
        key = ChildKey(to_uuid(self.id), window(first, after))
        return connection(await info.context.loader(DeliveriesOfIntegration).load(key), Delivery.of)

    @classmethod
    async def resolve_reference(cls, info: Info, id: strawberry.ID) -> Self | None:
        row = await info.context.loader(IntegrationById).load(to_uuid(id))
        return cls.of(row) if row else None

    @classmethod
    def of(cls, row: models.Integration) -> Self:
        return cls(
            id=to_id(row.id),
            provider=IntegrationProvider(row.provider),
            status=IntegrationStatus(row.status),
            created_at=row.created_at,
            site_id=row.site_id,
        )


@strawberry.type
class ConnectedIntegration:
    """What the shop must be told; the secret is shown this once."""

    integration: Integration
    url: str = strawberry.field(description="Where the shop sends its webhooks.")
    secret: str = strawberry.field(description="What it signs them with.")


@strawberry.federation.type(keys=["id"])
class Site:
    """A shop, as far as its integrations go."""

    id: strawberry.ID

    @strawberry.field(permission_classes=[IsUser])
    async def integrations(self, info: Info) -> list[Integration]:
        rows = await info.context.loader(IntegrationsOfSite).load(to_uuid(self.id))
        return [Integration.of(row) for row in rows]

    @classmethod
    def resolve_reference(cls, id: strawberry.ID) -> Self:
        return cls(id=id)


@strawberry.input
class ConnectShopifyInput:
    site_id: strawberry.ID
    secret: str | None = strawberry.field(
        default=None, description="What the shop already signs with; one is made without it."
    )
