"""A subgraph that owns `liveNotifications`, on the real live channel.

It replaces the notifications subgraph without PostgreSQL: a site's key is the site's id. It records
the gateway's subscriptions.
"""

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import strawberry

from subgraphs.kernel import live
from subgraphs.kernel.errors import NotFound
from subgraphs.kernel.graphql.app import SubgraphsApp, create_app
from subgraphs.kernel.graphql.context import Info
from subgraphs.kernel.graphql.schema import build_schema

requested_after: list[str | None] = []
"""The `after` of every subscription since the stack started."""

open_subscriptions: set[int] = set()
"""The open ones, by their index in `requested_after`."""


@strawberry.type
class Site:
    id: strawberry.ID


@strawberry.type
class Notification:
    id: strawberry.ID
    name: str


@strawberry.type
class Claim:
    id: strawberry.ID
    cursor: str
    text: str
    occurred_at: datetime
    published_at: datetime
    site: Site
    notification: Notification | None


@strawberry.type
class Query:
    @strawberry.field
    def ready(self) -> bool:
        return True


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def live_notifications(
        self, info: Info, site_key: str, after: str | None = None
    ) -> AsyncIterator[Claim]:
        site_id = UUID(site_key)
        if info.context.viewer.id != site_id:
            raise NotFound("There is no site with this key.")
        number = len(requested_after)
        requested_after.append(after)
        open_subscriptions.add(number)
        try:
            async with aclosing(live.subscribe(live.claims_of(site_id), after)) as entries:
                async for entry in entries:
                    now = datetime.now(UTC)
                    yield Claim(
                        id=strawberry.ID(str(entry.id)),
                        cursor=entry.cursor,
                        text=str(entry.data["text"]),
                        occurred_at=now,
                        published_at=now,
                        site=Site(id=strawberry.ID(site_key)),
                        notification=_notification(entry.data),
                    )
        finally:
            open_subscriptions.discard(number)


def _notification(data: dict[str, Any]) -> Notification | None:
    id_ = data.get("notification")
    return None if id_ is None else Notification(id=strawberry.ID(id_), name=f"Name of {id_}")


schema = build_schema(query=Query, subscription=Subscription)


def make_app() -> SubgraphsApp:
    return create_app({"notifications": schema})
