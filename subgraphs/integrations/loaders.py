"""Loaders of integrations and of what they sent."""

from collections.abc import Sequence
from functools import partial
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.integrations import service
from subgraphs.integrations.models import Delivery, Integration
from subgraphs.kernel.graphql.loading import ChildKey, Loader, by_window
from subgraphs.kernel.graphql.paging import Page


class IntegrationById(Loader[UUID, Integration | None]):
    """Integrations by id; None where there is none for the viewer."""

    async def load_all(
        self, session: AsyncSession, keys: Sequence[UUID]
    ) -> list[Integration | None]:
        found = await service.get_many(session, keys)
        return [found.get(key) for key in keys]


class IntegrationsOfSite(Loader[UUID, list[Integration]]):
    """All integrations of a site."""

    async def load_all(
        self, session: AsyncSession, keys: Sequence[UUID]
    ) -> list[list[Integration]]:
        found = await service.of_sites(session, keys)
        return [found[key] for key in keys]


class DeliveriesOfIntegration(Loader[ChildKey, Page[Delivery]]):
    """Windows of integrations' deliveries."""

    async def load_all(
        self, session: AsyncSession, keys: Sequence[ChildKey]
    ) -> list[Page[Delivery]]:
        return await by_window(keys, partial(service.deliveries_of, session))
