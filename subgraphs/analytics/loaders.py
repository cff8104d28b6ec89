"""Loaders of analytics.

Numbers are read from ClickHouse, which knows no tenants: whoever asks for a site's numbers has
asked `VisibleSite` first. The keys of numbers all name their site, so that nothing of another one's
is counted, whatever else they name.
"""

from collections import defaultdict
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics import service, site_events
from subgraphs.analytics.clickhouse.store import Dimension
from subgraphs.analytics.realtime import live_visitors
from subgraphs.analytics.service import Asked, AskedGroups, Group, Numbers, Series, Span
from subgraphs.kernel import redis
from subgraphs.kernel.graphql.loading import Loader
from subgraphs.kernel.identity.tenants import visible_sites

W = TypeVar("W", bound=Hashable)
V = TypeVar("V")


class VisibleSite(Loader[UUID, bool]):
    """Whether the viewer may see a site."""

    async def load_all(self, session: AsyncSession, keys: Sequence[UUID]) -> list[bool]:
        visible = await visible_sites(session, keys)
        return [key in visible for key in keys]


class LiveVisitors(Loader[UUID, int | None]):
    """How many visitors are on a site now; None where they are too few to be told."""

    async def batch_load_fn(self, keys: list[UUID]) -> list[int | None]:
        found = await live_visitors.count(redis.client(), keys)
        return [found[key] for key in keys]


class OfSite(NamedTuple, Generic[W]):
    """What is asked of one site."""

    site_id: UUID
    asked: W


class NumbersLoader(Loader[OfSite[W], V], Generic[W, V]):
    """Asks once for all sites of which the same is asked; no session is opened for it."""

    async def batch_load_fn(self, keys: list[OfSite[W]]) -> list[V]:
        sites: defaultdict[W, list[UUID]] = defaultdict(list)
        for key in keys:
            sites[key.asked].append(key.site_id)
        found = {asked: await self.fetch(ids, asked) for asked, ids in sites.items()}
        return [found[key.asked][key.site_id] for key in keys]

    async def fetch(self, site_ids: Collection[UUID], asked: W) -> Mapping[UUID, V]:
        raise NotImplementedError


class SeriesOfSite(NumbersLoader[Asked, Series]):
    """A site's numbers over a period."""

    async def fetch(self, site_ids: Collection[UUID], asked: Asked) -> Mapping[UUID, Series]:
        return await service.series(site_ids, asked)


class GroupsOfSite(NumbersLoader[AskedGroups, list[Group]]):
    """The groups in which most happened at a site."""

    async def fetch(
        self, site_ids: Collection[UUID], asked: AskedGroups
    ) -> Mapping[UUID, list[Group]]:
        return await service.groups(site_ids, asked)


class AskedTop(NamedTuple):
    """The pages with the most of a metric."""

    span: Span
    by: str
    most: int


class PagesOfSite(NumbersLoader[AskedTop, list[Group]]):
    """A site's pages, those with the most first."""

    async def fetch(
        self, site_ids: Collection[UUID], asked: AskedTop
    ) -> Mapping[UUID, list[Group]]:
        return await service.top(
            site_ids,
            asked.span,
            Dimension.PAGE,
            service.ALL_METRICS,
            by=asked.by,
            most=asked.most,
        )


class SumsKey(NamedTuple):
    """All metrics of a site, or of one notification or variant of it."""

    site_id: UUID
    span: Span
    dimension: Dimension = Dimension.TOTAL
    key: str = ""


class Sums(Loader[SumsKey, Numbers]):
    """All metrics' sums; one query for each span and dimension asked for."""

    async def batch_load_fn(self, keys: list[SumsKey]) -> list[Numbers]:
        asked: defaultdict[tuple[Span, Dimension], list[SumsKey]] = defaultdict(list)
        for key in keys:
            asked[key.span, key.dimension].append(key)
        found: dict[tuple[Span, Dimension, UUID, str], Numbers] = {}
        for (span, dimension), alike in asked.items():
            sites = {key.site_id for key in alike}
            wanted = {key.key for key in alike} - {""}
            for place, numbers in (await service.sums(sites, span, dimension, wanted)).items():
                found[span, dimension, *place] = numbers
        return [found.get((key.span, key.dimension, key.site_id, key.key), {}) for key in keys]


class GroupSeriesKey(NamedTuple):
    """The series of one group."""

    site_id: UUID
    asked: Asked
    dimension: Dimension
    key: str


class GroupSeries(Loader[GroupSeriesKey, Series]):
    """Groups' numbers over a period; one query for each period and dimension asked for."""

    async def batch_load_fn(self, keys: list[GroupSeriesKey]) -> list[Series]:
        asked: defaultdict[tuple[Asked, Dimension], list[GroupSeriesKey]] = defaultdict(list)
        for key in keys:
            asked[key.asked, key.dimension].append(key)
        found: dict[GroupSeriesKey, Series] = {}
        for (series, dimension), alike in asked.items():
            sites, wanted = {key.site_id for key in alike}, {key.key for key in alike}
            rows = await service.group_series(sites, series, dimension, wanted)
            for (site_id, name), numbers in rows.items():
                found[GroupSeriesKey(site_id, series, dimension, name)] = numbers
        return [found.get(key) or service.empty_series(key.asked) for key in keys]


class HistoryOfSite(Loader[OfSite[site_events.Asked], site_events.Page]):
    """A page of a site's history; row security is a second wall."""

    async def load_all(
        self, session: AsyncSession, keys: Sequence[OfSite[site_events.Asked]]
    ) -> list[site_events.Page]:
        sites: defaultdict[site_events.Asked, list[UUID]] = defaultdict(list)
        for key in keys:
            sites[key.asked].append(key.site_id)
        found = {
            asked: await site_events.pages(session, ids, asked) for asked, ids in sites.items()
        }
        return [found[key.asked][key.site_id] for key in keys]
