"""Loaders of sites."""

from collections.abc import Sequence
from functools import partial
from uuid import UUID

from subgraphs.kernel.graphql.loading import ChildKey, Loader, by_window
from subgraphs.kernel.graphql.paging import Page
from subgraphs.kernel.reads import ReadSession
from subgraphs.sites import service
from subgraphs.sites.models import Site


class SiteById(Loader[UUID, Site | None]):
    """Sites by id; None for sites that the viewer may not see."""

    async def load_all(self, session: ReadSession, keys: Sequence[UUID]) -> list[Site | None]:
        found = await service.get_many(session, keys)
        return [found.get(key) for key in keys]


class SitesOfAccount(Loader[ChildKey, Page[Site]]):
    """Pages of accounts' sites."""

    async def load_all(self, session: ReadSession, keys: Sequence[ChildKey]) -> list[Page[Site]]:
        return await by_window(keys, partial(service.list_for_accounts, session))
