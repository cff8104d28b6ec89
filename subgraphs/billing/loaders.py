"""Loaders of plans and subscriptions."""

from collections.abc import Sequence
from uuid import UUID

from subgraphs.billing import service
from subgraphs.billing.models import Plan, SiteSubscription
from subgraphs.kernel.graphql.loading import Loader
from subgraphs.kernel.reads import ReadSession


class PlanById(Loader[str, Plan]):
    """Plans by id. Each id comes from a subscription, so its plan exists."""

    async def load_all(self, session: ReadSession, keys: Sequence[str]) -> list[Plan]:
        found = await service.get_plans(session, keys)
        return [found[key] for key in keys]


class SubscriptionOfSite(Loader[UUID, SiteSubscription | None]):
    """Sites' subscriptions; None for a site that has chosen no plan."""

    async def load_all(
        self, session: ReadSession, keys: Sequence[UUID]
    ) -> list[SiteSubscription | None]:
        found = await service.get_many(session, keys)
        return [found.get(key) for key in keys]
