"""What analytics adds to Notification."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Self

import strawberry

from subgraphs.analytics import query_range
from subgraphs.analytics.clickhouse.metrics import Dimension
from subgraphs.analytics.loaders import Sums, SumsKey
from subgraphs.analytics.types.performance import Performance
from subgraphs.analytics.types.visible_site import visible_site_id
from subgraphs.kernel.graphql.context import Info
from subgraphs.kernel.graphql.types import to_uuid
from subgraphs.kernel.identity.permissions import IsUser

if TYPE_CHECKING:
    from subgraphs.analytics.types.site import Site


@strawberry.federation.type(keys=["id"])
class Notification:
    """A notification that a merchant configured. Analytics adds its performance."""

    id: strawberry.ID
    site: Annotated[Site, strawberry.lazy("subgraphs.analytics.types.site")] = (
        strawberry.federation.field(external=True, default=None)
    )
    site_id: strawberry.Private[strawberry.ID] = strawberry.ID("")

    @strawberry.federation.field(
        permission_classes=[IsUser],
        requires=["site { id }"],
        description="What the notification's claims achieved in the hours (UTC) that overlap "
        "`start` to `end`.",
    )
    async def stats(self, info: Info, start: datetime, end: datetime) -> Performance:
        hours = query_range.hour_range(start, end)
        site_id = await visible_site_id(info, self.site_id)
        key = SumsKey(site_id, hours, Dimension.NOTIFICATION, str(to_uuid(self.id)))
        return Performance.of(await info.context.loader(Sums).load(key))

    @classmethod
    def resolve_reference(cls, id: strawberry.ID, site: Mapping[str, Any] | None = None) -> Self:
        """The router sends `site` along with the key if the requested fields require it."""
        return cls(id=id, site_id=strawberry.ID(site["id"] if site else ""))
