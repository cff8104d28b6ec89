"""The GraphQL type of claims."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Self
from uuid import UUID

import strawberry

from subgraphs.kernel.graphql.context import Info
from subgraphs.kernel.graphql.types import to_id, to_uuid
from subgraphs.kernel.identity.permissions import IsUser
from subgraphs.notifications import models
from subgraphs.notifications.loaders import ClaimById, NotificationById, VariantById
from subgraphs.notifications.types.ab_test import ABTestVariant

if TYPE_CHECKING:
    from subgraphs.notifications.types.notification import Notification, Site


_LAZILY = strawberry.lazy("subgraphs.notifications.types.notification")


@strawberry.federation.type(keys=["id"])
class Claim:
    """A published message that visitors see, with the source events behind it."""

    id: strawberry.ID
    cursor: str = strawberry.field(
        description="The claim's position in the live channel. Pass it to `liveNotifications` as "
        "`after` to receive the claims that follow."
    )
    text: str
    url: str | None = strawberry.field(
        description="The HTTPS address of the product; null if the shop sent none."
    )
    occurred_at: datetime = strawberry.field(description="When the source event happened.")
    published_at: datetime
    source_event_ids: list[strawberry.ID] = strawberry.field(
        description="The IDs of the events that prove the claim."
    )
    site_id: strawberry.Private[UUID]
    notification_id: strawberry.Private[UUID]
    variant_id: strawberry.Private[UUID | None] = None

    @strawberry.field
    def site(
        self,
    ) -> Annotated[Site, _LAZILY]:
        from subgraphs.notifications.types.notification import Site

        return Site(id=to_id(self.site_id))

    @strawberry.field(
        permission_classes=[IsUser],
        description="The variant whose text was used; null if no A/B test was running.",
    )
    async def variant(self, info: Info) -> ABTestVariant | None:
        if self.variant_id is None:
            return None
        row = await info.context.loader(VariantById).load(self.variant_id)
        return ABTestVariant.of(row) if row else None

    @strawberry.field(
        permission_classes=[IsUser], description="For users only; storefronts get `FORBIDDEN`."
    )
    async def notification(self, info: Info) -> Annotated[Notification, _LAZILY] | None:
        from subgraphs.notifications.types.notification import Notification

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
            cursor=row.cursor or "",  # the loaders return published claims only: it is set
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
        """The claim of a message of the live channel, as `claims.claim_message` builds it."""
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
