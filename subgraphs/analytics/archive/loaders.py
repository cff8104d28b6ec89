"""Loaders of archives, restores and restored rows."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics.archive import service
from subgraphs.analytics.archive.models import ArchiveRestore, ArchiveShare
from subgraphs.analytics.archive.service import RestoredRow, RestoredWindow
from subgraphs.kernel.graphql.loading import ChildKey, OrmLoader, by_window
from subgraphs.kernel.graphql.paging import Page


class ArchivesOfSite(OrmLoader[ChildKey, Page[ArchiveShare]]):
    """A page of a site's archives."""

    async def load_all(
        self, session: AsyncSession, keys: Sequence[ChildKey]
    ) -> list[Page[ArchiveShare]]:
        return await by_window(keys, partial(service.list_for_sites, session))


class RestoresOfArchive(OrmLoader[ChildKey, Page[ArchiveRestore]]):
    """A page of an archive's restores."""

    async def load_all(
        self, session: AsyncSession, keys: Sequence[ChildKey]
    ) -> list[Page[ArchiveRestore]]:
        return await by_window(keys, partial(service.list_restores_for_shares, session))


class RestoredRowsKey(NamedTuple):
    """A part of the rows of a restore that is READY."""

    restore_id: UUID
    table_name: str
    window: RestoredWindow


class RowsOfRestore(OrmLoader[RestoredRowsKey, Page[RestoredRow]]):
    """A page of a restore's rows.

    One statement for each restore: rows are only readable for the few restores that are READY.
    """

    async def load_all(
        self, session: AsyncSession, keys: Sequence[RestoredRowsKey]
    ) -> list[Page[RestoredRow]]:
        return [
            await service.list_restored_rows(
                session, restore_id=key.restore_id, table_name=key.table_name, window=key.window
            )
            for key in keys
        ]
