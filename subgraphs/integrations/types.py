"""The GraphQL types of integrations."""

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


@strawberry.enum(description="The outside system of an integration.")
class IntegrationProvider(Enum):
    SHOPIFY = "SHOPIFY"


@strawberry.enum(description="Whether webhooks are accepted.")
class IntegrationStatus(Enum):
    CONNECTED = "CONNECTED"


@strawberry.enum(description="The processing state of a webhook.")
class DeliveryStatus(Enum):
    RECEIVED = strawberry.enum_value("RECEIVED", description="Stored, not yet processed.")
    PROCESSED = strawberry.enum_value("PROCESSED", description="It led to at least one new event.")
    IGNORED = strawberry.enum_value(
        "IGNORED",
        description="It led to no event: an unused topic, a test or a cancelled order.",
    )
    REJECTED = strawberry.enum_value("REJECTED", description="It could not be read; see `error`.")


@strawberry.type
class Delivery:
    """One received webhook. Its body is not available through the API."""

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
    """A connection between a site and an outside system."""

    id: strawberry.ID
    provider: IntegrationProvider
    status: IntegrationStatus
    created_at: datetime
    site_id: strawberry.Private[UUID]

    @strawberry.field
    def site(self) -> Site:
        return Site(id=to_id(self.site_id))

    @strawberry.field(description="The received webhooks, newest first.")
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
    """A new integration, with what to configure in the shop. The secret is shown only once."""

    integration: Integration
    url: str = strawberry.field(description="The URL to which the shop must send its webhooks.")
    secret: str = strawberry.field(
        description="The secret with which the shop must sign its webhooks."
    )


@strawberry.federation.type(keys=["id"])
class Site:
    """A shop; this subgraph adds its integrations."""

    id: strawberry.ID

    @strawberry.field(permission_classes=[IsUser], description="The integrations, newest first.")
    async def integrations(
        self, info: Info, first: int = 20, after: str | None = None
    ) -> Connection[Integration]:
        key = ChildKey(to_uuid(self.id), window(first, after))
        return connection(await info.context.loader(IntegrationsOfSite).load(key), Integration.of)

    @classmethod
    def resolve_reference(cls, id: strawberry.ID) -> Self:
        return cls(id=id)


@strawberry.input
class ConnectShopifyInput:
    site_id: strawberry.ID
    secret: str | None = strawberry.field(
        default=None,
        description="The secret with which the shop already signs; without it one is generated.",
    )
