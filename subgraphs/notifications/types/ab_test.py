"""The GraphQL types of A/B tests."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Self
from uuid import UUID

import strawberry

from subgraphs.kernel.graphql.context import Info
from subgraphs.kernel.graphql.types import to_id, to_uuid
from subgraphs.kernel.identity.permissions import IsUser
from subgraphs.notifications import models
from subgraphs.notifications.loaders import (
    ABTestById,
    NotificationById,
    VariantById,
    VariantsOfABTest,
)

if TYPE_CHECKING:
    from subgraphs.notifications.types.notification import Notification, Site


_LAZILY = strawberry.lazy("subgraphs.notifications.types.notification")


@strawberry.enum(description="The state of an A/B test. Only a running test chooses variants.")
class ABTestStatus(Enum):
    DRAFT = strawberry.enum_value("DRAFT", description="Never started.")
    RUNNING = strawberry.enum_value("RUNNING", description="Each new claim uses a variant.")
    STOPPED = strawberry.enum_value("STOPPED", description="Stopped; it cannot start again.")


@strawberry.federation.type(keys=["id"])
class ABTest:
    """Variants of a notification's template, compared by the results of their claims."""

    id: strawberry.ID
    name: str
    status: ABTestStatus
    created_at: datetime
    started_at: datetime | None = strawberry.field(description="Null before the first start.")
    stopped_at: datetime | None = strawberry.field(description="Null until the test is stopped.")
    site_id: strawberry.Private[UUID]
    notification_id: strawberry.Private[UUID]

    @strawberry.field
    def site(
        self,
    ) -> Annotated[Site, _LAZILY]:
        from subgraphs.notifications.types.notification import Site

        return Site(id=to_id(self.site_id))

    @strawberry.field(permission_classes=[IsUser])
    async def notification(self, info: Info) -> Annotated[Notification, _LAZILY] | None:
        from subgraphs.notifications.types.notification import Notification

        row = await info.context.loader(NotificationById).load(self.notification_id)
        return Notification.of(row) if row else None

    @strawberry.field(
        permission_classes=[IsUser], description="The variants, in the order of their creation."
    )
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
    """One of the texts that an A/B test compares."""

    id: strawberry.ID
    name: str
    body: str = strawberry.field(description="The text of the variant's claims, in Liquid.")
    weight: int = strawberry.field(
        description="The variant's share of the claims, relative to the sum of the test's weights."
    )

    @classmethod
    async def resolve_reference(cls, info: Info, id: strawberry.ID) -> Self | None:
        row = await info.context.loader(VariantById).load(to_uuid(id))
        return cls.of(row) if row else None

    @classmethod
    def of(cls, row: models.ABTestVariant) -> Self:
        return cls(id=to_id(row.id), name=row.name, body=row.body, weight=row.weight)
