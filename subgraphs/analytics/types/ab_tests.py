"""What the graph shows of A/B tests: what each variant achieved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Self
from uuid import UUID

import strawberry

from subgraphs.analytics import service
from subgraphs.analytics.clickhouse.store import Dimension
from subgraphs.analytics.loaders import Sums, SumsKey
from subgraphs.analytics.service import Numbers
from subgraphs.analytics.types.metrics import ABTestVariant, Performance
from subgraphs.analytics.types.site import Site, site_of, visible
from subgraphs.kernel.graphql.context import Info
from subgraphs.kernel.graphql.types import to_id, to_uuid
from subgraphs.kernel.identity.permissions import IsUser


@strawberry.type
class VariantResult:
    """What the claims worded by a variant achieved."""

    variant: ABTestVariant
    performance: Performance


@strawberry.type
class ABTestResults:
    """The variants in their order, from the start of the test until now."""

    variants: list[VariantResult]

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
    """Wordings that are compared, as far as their numbers go."""

    id: strawberry.ID
    site: Site = strawberry.federation.field(external=True, default=None)
    variants: list[ABTestVariant] = strawberry.federation.field(external=True, default_factory=list)
    started_at: datetime | None = strawberry.federation.field(external=True, default=None)

    @strawberry.federation.field(
        permission_classes=[IsUser],
        requires=["site { id } variants { id } startedAt"],
        description="What each variant's claims achieved so far. Which is best is not said.",
    )
    async def results(self, info: Info) -> ABTestResults:
        site_id = await visible(info, self.site.id)
        ids = [to_uuid(variant.id) for variant in self.variants]
        if self.started_at is None:
            return ABTestResults.of(ids, [{}] * len(ids))
        span = service.since(self.started_at)
        keys = [SumsKey(site_id, span, Dimension.VARIANT, str(id_)) for id_ in ids]
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
            site=site_of(site),
            variants=[ABTestVariant(id=variant["id"]) for variant in variants],
            started_at=datetime.fromisoformat(startedAt) if startedAt else None,
        )
