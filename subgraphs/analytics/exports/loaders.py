"""The loader of exports."""

from collections.abc import Sequence
from functools import partial

from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics.exports import service
from subgraphs.analytics.exports.models import Export
from subgraphs.kernel.graphql.loading import ChildKey, OrmLoader, by_window
from subgraphs.kernel.graphql.paging import Page


class ExportsOfSite(OrmLoader[ChildKey, Page[Export]]):
    """A page of a site's exports."""

    async def load_all(self, session: AsyncSession, keys: Sequence[ChildKey]) -> list[Page[Export]]:
        return await by_window(keys, partial(service.list_for_sites, session))
