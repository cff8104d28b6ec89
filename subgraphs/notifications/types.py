"""What the graph shows of notifications and claims."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Any, Self
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
    ABTestById,
    ABTestsOfNotification,
    ClaimById,
    ClaimsOfNotification,
    NotificationById,
    NotificationsOfSite,
    SiteKey,
    TemplateById,
    VariantById,
    VariantsOfABTest,
)


@strawberry.enum(description="What a notification tells of.")
class NotificationType(Enum):
    RECENT_ORDER = "RECENT_ORDER"


@strawberry.enum(description="Whether claims are made of it: only while it is active.")
class NotificationStatus(Enum):
    DRAFT = "DRAFT"
    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    ARCHIVED = "ARCHIVED"


@strawberry.enum(description="Where a notification is shown.")
class NotificationChannel(Enum):
    STOREFRONT = "STOREFRONT"


@strawberry.enum(description="Whether claims are worded by a test: only while it is running.")
class ABTestStatus(Enum):
    DRAFT = "DRAFT"
    RUNNING = "RUNNING"
    STOPPED = "STOPPED"


@strawberry.type
class Template:
    """Wording (Liquid) and look (CSS)."""

    id: strawberry.ID
    name: str
    body: str
    css: str | None

    @classmethod
    def of(cls, row: models.Template) -> Self:
        return cls(id=to_id(row.id), name=row.name, body=row.body, css=row.css_content)


@strawberry.federation.type(keys=["id"])
class Notification:
    """What a merchant shows to the visitors of a site."""

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

    @strawberry.field(description="The claims made of it and published, newest order first.")
    async def claims(
        self, info: Info, first: int = 20, after: str | None = None
    ) -> Connection[Claim]:
        key = ChildKey(to_uuid(self.id), window(first, after))
        return connection(await info.context.loader(ClaimsOfNotification).load(key), Claim.of)

    @strawberry.field(description="Its A/B tests, newest first.")
    async def ab_tests(
        self, info: Info, first: int = 20, after: str | None = None
    ) -> Connection[ABTest]:
        key = ChildKey(to_uuid(self.id), window(first, after))
        return connection(await info.context.loader(ABTestsOfNotification).load(key), ABTest.of)

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
class ABTest:
    """Wordings of one notification, shared out among its claims to be compared."""

    id: strawberry.ID
    name: str
    status: ABTestStatus
    created_at: datetime
    started_at: datetime | None
    stopped_at: datetime | None
    site_id: strawberry.Private[UUID]
    notification_id: strawberry.Private[UUID]

    @strawberry.field
    def site(self) -> Site:
        return Site(id=to_id(self.site_id))

    @strawberry.field(permission_classes=[IsUser])
    async def notification(self, info: Info) -> Notification | None:
        row = await info.context.loader(NotificationById).load(self.notification_id)
        return Notification.of(row) if row else None

    @strawberry.field(permission_classes=[IsUser])
    async def variants(self, info: Info) -> list[ABTestVariant]:
        rows = await info.context.loader(VariantsOfABTest).load(to_uuid(self.id))
        return [ABTestVariant.of(row) for row in rows]

    @classmethod
    async def resolve_reference(cls, info: Info, id: strawberry.ID) -> Self | None:
        row = await info.context.loader(ABTestById).load(to_uuid(id))
        return cls.of(row) if row else None

    @classmethod
    def of(cls, row: models.ABTest) -> Self:
        return cls(
            id=to_id(row.id),
            name=row.name,
            status=ABTestStatus(row.status),
            created_at=row.created_at,
            started_at=row.started_at,
            stopped_at=row.stopped_at,
            site_id=row.site_id,
            notification_id=row.notification_id,
        )


@strawberry.federation.type(keys=["id"])
class ABTestVariant:
    """One wording (Liquid) of an A/B test."""

    id: strawberry.ID
    name: str
    body: str
    weight: int = strawberry.field(
        description="Its share of the claims, out of the sum of the test's weights."
    )

    @classmethod
    async def resolve_reference(cls, info: Info, id: strawberry.ID) -> Self | None:
        row = await info.context.loader(VariantById).load(to_uuid(id))
        return cls.of(row) if row else None

    @classmethod
    def of(cls, row: models.ABTestVariant) -> Self:
        return cls(id=to_id(row.id), name=row.name, body=row.body, weight=row.weight)


@strawberry.federation.type(keys=["id"])
class Claim:
    """One message that visitors see, published, with the source events behind it."""

    id: strawberry.ID
    cursor: str = strawberry.field(
        description="Its place in the live channel: give it as `after` to resume behind it."
    )
    text: str
    url: str | None
    occurred_at: datetime
    published_at: datetime
    source_event_ids: list[strawberry.ID]
    site_id: strawberry.Private[UUID]
    notification_id: strawberry.Private[UUID]
    variant_id: strawberry.Private[UUID | None] = None

    @strawberry.field
    def site(self) -> Site:
        return Site(id=to_id(self.site_id))

    @strawberry.field(
        permission_classes=[IsUser], description="What it was worded by, if an A/B test ran."
    )
    async def variant(self, info: Info) -> ABTestVariant | None:
        if self.variant_id is None:
            return None
        row = await info.context.loader(VariantById).load(self.variant_id)
        return ABTestVariant.of(row) if row else None

    @strawberry.field(permission_classes=[IsUser], description="For users; not for storefronts.")
    async def notification(self, info: Info) -> Notification | None:
        row = await info.context.loader(NotificationById).load(self.notification_id)
        return Notification.of(row) if row else None

    @classmethod
    async def resolve_reference(cls, info: Info, id: strawberry.ID) -> Self | None:
        row = await info.context.loader(ClaimById).load(to_uuid(id))
        return cls.of(row) if row else None

    @classmethod
    def of(cls, row: models.Claim) -> Self:
        return cls(
            id=to_id(row.id),
            cursor=row.cursor or "",  # only published claims come here
            text=row.text,
            url=row.url,
            occurred_at=row.occurred_at,
            published_at=row.published_at,
            source_event_ids=[to_id(id_) for id_ in row.source_event_ids],
            site_id=row.site_id,
            notification_id=row.notification_id,
            variant_id=row.variant_id,
        )

    @classmethod
    def of_message(cls, cursor: str, message: dict[str, Any]) -> Self:
        """From the live channel, as `service.claim_message` made it."""
        return cls(
            id=strawberry.ID(message["id"]),
            cursor=cursor,
            text=message["text"],
            url=message["url"],
            occurred_at=datetime.fromisoformat(message["occurredAt"]),
            published_at=datetime.fromisoformat(message["publishedAt"]),
            source_event_ids=[strawberry.ID(id_) for id_ in message["sourceEventIds"]],
            site_id=UUID(message["siteId"]),
            notification_id=UUID(message["notificationId"]),
        )


@strawberry.federation.type(keys=["id"])
class Site:
    """A shop, as far as its notifications go."""

    id: strawberry.ID

    @strawberry.field(permission_classes=[IsUser])
    async def notifications(
        self,
        info: Info,
        first: int = 20,
        after: str | None = None,
        status: NotificationStatus | None = None,
    ) -> Connection[Notification]:
        child = ChildKey(to_uuid(self.id), window(first, after))
        key = SiteKey(child, status.value if status else None)
        return connection(await info.context.loader(NotificationsOfSite).load(key), Notification.of)

    @classmethod
    def resolve_reference(cls, id: strawberry.ID) -> Self:
        return cls(id=id)


@strawberry.input
class TemplateInput:
    body: str | None = strawberry.field(
        default=None,
        description="Liquid over first_name, city, country, product and quantity.",
    )
    css: str | None = None


@strawberry.input
class CreateNotificationInput:
    site_id: strawberry.ID
    name: str
    type: NotificationType
    template: TemplateInput | None = None


@strawberry.input
class ABTestVariantInput:
    name: str
    body: str | None = strawberry.field(
        default=None, description="Liquid; without one, the notification's own wording."
    )
    weight: int = 1


@strawberry.input
class CreateABTestInput:
    notification_id: strawberry.ID
    name: str
    variants: list[ABTestVariantInput] = strawberry.field(description="Two to ten.")
