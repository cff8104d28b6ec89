"""The GraphQL types of plans and subscriptions."""

from __future__ import annotations

from datetime import datetime
from typing import Self

import strawberry

from subgraphs.billing import models
from subgraphs.billing.loaders import PlanById, SubscriptionOfSite
from subgraphs.billing.service import FREE_PLAN
from subgraphs.kernel.graphql.context import Info
from subgraphs.kernel.graphql.types import BigInt, Money, to_uuid
from subgraphs.kernel.identity.permissions import IsUser


@strawberry.type
class Plan:
    """A plan and its limits."""

    id: strawberry.ID
    name: str
    monthly_price: Money
    monthly_events: int
    events_per_second: int
    retention_days: int

    @classmethod
    def of(cls, row: models.Plan) -> Self:
        return cls(
            id=strawberry.ID(row.id),
            name=row.name,
            monthly_price=Money(
                amount_minor=BigInt(row.monthly_price_minor), currency=row.currency
            ),
            monthly_events=row.monthly_events,
            events_per_second=row.events_per_second,
            retention_days=row.retention_days,
        )


@strawberry.type
class SiteSubscription:
    """The plan of a site."""

    since: datetime | None = strawberry.field(
        description="When the plan was chosen; null on the free plan that every site starts with."
    )
    plan_id: strawberry.Private[str]

    @strawberry.field
    async def plan(self, info: Info) -> Plan:
        return Plan.of(await info.context.loader(PlanById).load(self.plan_id))

    @classmethod
    def of(cls, row: models.SiteSubscription | None) -> Self:
        if row is None:
            return cls(since=None, plan_id=FREE_PLAN)
        return cls(since=row.since, plan_id=row.plan_id)


@strawberry.federation.type(keys=["id"])
class Site:
    """A shop; this subgraph adds its plan."""

    id: strawberry.ID

    @strawberry.field(permission_classes=[IsUser])
    async def subscription(self, info: Info) -> SiteSubscription:
        row = await info.context.loader(SubscriptionOfSite).load(to_uuid(self.id))
        return SiteSubscription.of(row)

    @classmethod
    def resolve_reference(cls, id: strawberry.ID) -> Self:
        return cls(id=id)


@strawberry.input
class ChangePlanInput:
    site_id: strawberry.ID
    plan_id: strawberry.ID
