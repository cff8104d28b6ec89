"""Loaders of integrations and of their deliveries."""

from collections.abc import Sequence
from functools import partial
from uuid import UUID

from subgraphs.integrations import service
from subgraphs.integrations.models import Delivery, Integration
from subgraphs.kernel.graphql.loading import ChildKey, Loader, by_window
from subgraphs.kernel.graphql.paging import Page
from subgraphs.kernel.reads import ReadSession


class IntegrationById(Loader[UUID, Integration | None]):
    """Integrations by id; None for those that the viewer may not see."""

    async def load_all(
        self, session: ReadSession, keys: Sequence[UUID]
    ) -> list[Integration | None]:
        found = await service.get_many(session, keys)
        return [found.get(key) for key in keys]


class IntegrationsOfSite(Loader[ChildKey, Page[Integration]]):
    """Pages of sites' integrations."""

    async def load_all(
        self, session: ReadSession, keys: Sequence[ChildKey]
    ) -> list[Page[Integration]]:
        return await by_window(keys, partial(service.list_for_sites, session))


class DeliveriesOfIntegration(Loader[ChildKey, Page[Delivery]]):
    """Pages of integrations' deliveries."""

    async def load_all(
        self, session: ReadSession, keys: Sequence[ChildKey]
    ) -> list[Page[Delivery]]:
        return await by_window(keys, partial(service.list_deliveries, session))
