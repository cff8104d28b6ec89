"""Loaders of archives and restores."""

from collections.abc import Sequence
from functools import partial

from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics.archive import service
from subgraphs.analytics.archive.models import ArchiveRestore, ArchiveShare
from subgraphs.kernel.graphql.loading import ChildKey, Loader, by_window
from subgraphs.kernel.graphql.paging import Page


class ArchivesOfSite(Loader[ChildKey, Page[ArchiveShare]]):
    """Windows of sites' archives."""

    async def load_all(
        self, session: AsyncSession, keys: Sequence[ChildKey]
    ) -> list[Page[ArchiveShare]]:
        return await by_window(keys, partial(service.shares_of, session))


class RestoresOfArchive(Loader[ChildKey, Page[ArchiveRestore]]):
    """Windows of archives' restores."""

    async def load_all(
        self, session: AsyncSession, keys: Sequence[ChildKey]
    ) -> list[Page[ArchiveRestore]]:
        return await by_window(keys, partial(service.restores_of, session))
