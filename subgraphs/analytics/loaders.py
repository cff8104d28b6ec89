"""Loaders of analytics."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics import history, service
from subgraphs.analytics.service import Period, Series
from subgraphs.kernel import db
from subgraphs.kernel.loading import Loader
from subgraphs.kernel.tenants import visible_sites


class SeriesKey(NamedTuple):
    site_id: UUID
    period: Period


class SeriesOfSite(Loader[SeriesKey, Series | None]):
    """A site's numbers over a period; None where the viewer may not see the site."""

    async def batch_load_fn(self, keys: list[SeriesKey]) -> list[Series | None]:
        async with db.reading(self._viewer) as session:
            visible = await visible_sites(session, {key.site_id for key in keys})
        sites: dict[Period, set[UUID]] = {}
        for key in keys:
            if key.site_id in visible:
                sites.setdefault(key.period, set()).add(key.site_id)
        found = {period: await service.series(ids, period) for period, ids in sites.items()}
        return [found.get(key.period, {}).get(key.site_id) for key in keys]


class HistoryKey(NamedTuple):
    site_id: UUID
    asked: history.Asked


class HistoryOfSite(Loader[HistoryKey, history.Page | None]):
    """A page of a site's history; None where the viewer may not see the site."""

    async def load_all(
        self, session: AsyncSession, keys: Sequence[HistoryKey]
    ) -> list[history.Page | None]:
        visible = await visible_sites(session, {key.site_id for key in keys})
        sites: dict[history.Asked, set[UUID]] = {}
        for key in keys:
            if key.site_id in visible:
                sites.setdefault(key.asked, set()).add(key.site_id)
        found = {asked: await history.pages(session, ids, asked) for asked, ids in sites.items()}
        return [found.get(key.asked, {}).get(key.site_id) for key in keys]
