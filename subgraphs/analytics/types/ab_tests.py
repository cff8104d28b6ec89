"""GraphQL types of A/B tests: what the claims of each variant achieved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Self
from uuid import UUID

import strawberry
from strawberry.federation.schema_directives import Key
from strawberry.federation.types import FieldSet

from subgraphs.analytics import query_range
from subgraphs.analytics.clickhouse.metrics import Dimension
from subgraphs.analytics.loaders import Sums, SumsKey
from subgraphs.analytics.service import Numbers
from subgraphs.analytics.types.performance import Performance
from subgraphs.analytics.types.visible_site import visible_site_id
from subgraphs.kernel.graphql.context import Info
from subgraphs.kernel.graphql.types import to_id, to_uuid
from subgraphs.kernel.identity.permissions import IsUser

if TYPE_CHECKING:
    from subgraphs.analytics.types.site import Site


@strawberry.federation.type(keys=[Key(fields=FieldSet("id"), resolvable=False)])
class ABTestVariant:
    id: strawberry.ID


@strawberry.type
class VariantResult:
    """What the claims of one variant achieved."""

    variant: ABTestVariant
    performance: Performance


@strawberry.type
class ABTestResults:
    """The results of an A/B test, from its start until now."""

    variants: list[VariantResult] = strawberry.field(
        description="The results of each variant, in the order of the test's variants."
    )

    @classmethod
    def of(cls, ids: Sequence[UUID], numbers: Sequence[Numbers]) -> Self:
        return cls(
            variants=[
                VariantResult(variant=ABTestVariant(id=to_id(id_)), performance=Performance.of(it))
                for id_, it in zip(ids, numbers, strict=True)
            ]
        )


@strawberry.federation.type(keys=["id"])
class ABTest:
    """A comparison of templates. Analytics adds the results."""

    id: strawberry.ID
    site: Annotated[Site, strawberry.lazy("subgraphs.analytics.types.site")] = (
        strawberry.federation.field(external=True, default=None)
    )
    variants: list[ABTestVariant] = strawberry.federation.field(external=True, default_factory=list)
    started_at: datetime | None = strawberry.federation.field(external=True, default=None)
    site_id: strawberry.Private[strawberry.ID] = strawberry.ID("")

    @strawberry.federation.field(
        permission_classes=[IsUser],
        requires=["site { id } variants { id } startedAt"],
        description="What each variant's claims achieved so far; all zero before the test starts. "
        "No winner is named.",
    )
    async def results(self, info: Info) -> ABTestResults:
        site_id = await visible_site_id(info, self.site_id)
        ids = [to_uuid(variant.id) for variant in self.variants]
        if self.started_at is None:
            return ABTestResults.of(ids, [{}] * len(ids))
        hours = query_range.hours_since(self.started_at)
        keys = [SumsKey(site_id, hours, Dimension.VARIANT, str(id_)) for id_ in ids]
        return ABTestResults.of(ids, await info.context.loader(Sums).load_many(keys))

    @classmethod
    def resolve_reference(
        cls,
        id: strawberry.ID,
        site: Mapping[str, Any] | None = None,
        variants: Sequence[Mapping[str, Any]] = (),
        startedAt: str | None = None,  # noqa: N803  # the graph's name
    ) -> Self:
        return cls(
            id=id,
            site_id=strawberry.ID(site["id"] if site else ""),
            variants=[ABTestVariant(id=variant["id"]) for variant in variants],
            started_at=datetime.fromisoformat(startedAt) if startedAt else None,
        )
