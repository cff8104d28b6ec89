"""The GraphQL types of notifications, and the field that this subgraph adds to sites."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Self
from uuid import UUID

import strawberry

from subgraphs.kernel.graphql.connections import Connection, connection
from subgraphs.kernel.graphql.context import Info
from subgraphs.kernel.graphql.loading import ChildKey
from subgraphs.kernel.graphql.paging import window
from subgraphs.kernel.graphql.types import to_id, to_uuid
from subgraphs.kernel.identity.permissions import IsUser
from subgraphs.notifications import models
from subgraphs.notifications.loaders import (
    ABTestsOfNotification,
    ClaimsOfNotification,
    NotificationById,
    NotificationsOfSite,
    SiteKey,
    TemplateById,
)
from subgraphs.notifications.types.ab_test import ABTest
from subgraphs.notifications.types.claim import Claim
from subgraphs.notifications.types.template import Template


@strawberry.enum(description="The kind of event that a notification reports.")
class NotificationType(Enum):
    RECENT_ORDER = strawberry.enum_value("RECENT_ORDER", description="Orders, one claim each.")


@strawberry.enum(description="The state of a notification. Only an active one makes claims.")
class NotificationStatus(Enum):
    DRAFT = strawberry.enum_value("DRAFT", description="Never activated.")
    ACTIVE = strawberry.enum_value("ACTIVE", description="New events make claims.")
    PAUSED = strawberry.enum_value("PAUSED", description="No claims until it is activated again.")
    ARCHIVED = strawberry.enum_value("ARCHIVED", description="It cannot be activated again.")


@strawberry.enum(description="Where claims are shown.")
class NotificationChannel(Enum):
    STOREFRONT = strawberry.enum_value("STOREFRONT", description="The pages of the shop.")


@strawberry.federation.type(keys=["id"])
class Notification:
    """A merchant's rule for making claims: a type of event and a template."""

    id: strawberry.ID
    name: str
    type: NotificationType
    status: NotificationStatus
    channels: list[NotificationChannel]
    created_at: datetime
    site_id: strawberry.Private[UUID]
    template_id: strawberry.Private[UUID]

    @strawberry.field
    def site(self) -> Site:
        return Site(id=to_id(self.site_id))

    @strawberry.field
    async def template(self, info: Info) -> Template:
        return Template.of(await info.context.loader(TemplateById).load(self.template_id))

    @strawberry.field(description="The published claims, newest source event first.")
    async def claims(
        self, info: Info, first: int = 20, after: str | None = None
    ) -> Connection[Claim]:
        key = ChildKey(to_uuid(self.id), window(first, after))
        page = await info.context.loader(ClaimsOfNotification).load(key)
        return connection(page, Claim.of)

    @strawberry.field(description="The A/B tests, newest first.")
    async def ab_tests(
        self, info: Info, first: int = 20, after: str | None = None
    ) -> Connection[ABTest]:
        key = ChildKey(to_uuid(self.id), window(first, after))
        page = await info.context.loader(ABTestsOfNotification).load(key)
        return connection(page, ABTest.of)

    @classmethod
    async def resolve_reference(cls, info: Info, id: strawberry.ID) -> Self | None:
        row = await info.context.loader(NotificationById).load(to_uuid(id))
        return cls.of(row) if row else None

    @classmethod
    def of(cls, row: models.Notification) -> Self:
        return cls(
            id=to_id(row.id),
            name=row.name,
            type=NotificationType(row.type),
            status=NotificationStatus(row.status),
            channels=[NotificationChannel(channel) for channel in row.channels],
            created_at=row.created_at,
            site_id=row.site_id,
            template_id=row.template_id,
        )


@strawberry.federation.type(keys=["id"])
class Site:
    """A shop; this subgraph adds its notifications."""

    id: strawberry.ID

    @strawberry.field(
        permission_classes=[IsUser],
        description="The notifications, newest first; with `status`, only those in this state.",
    )
    async def notifications(
        self,
        info: Info,
        first: int = 20,
        after: str | None = None,
        status: NotificationStatus | None = None,
    ) -> Connection[Notification]:
        child = ChildKey(to_uuid(self.id), window(first, after))
        key = SiteKey(child, status.name if status else None)
        return connection(await info.context.loader(NotificationsOfSite).load(key), Notification.of)

    @classmethod
    def resolve_reference(cls, id: strawberry.ID) -> Self:
        return cls(id=id)
