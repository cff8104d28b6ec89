"""Loaders of analytics.

ClickHouse knows no tenants. A resolver loads `VisibleSite` before it loads a site's counts. All
keys of counts include the site, so no other site's events can be counted.
"""

from collections import defaultdict
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics import service
from subgraphs.analytics.clickhouse.metrics import Dimension
from subgraphs.analytics.queries import GroupsQuery, SeriesQuery, TopPagesQuery
from subgraphs.analytics.query_range import HourRange
from subgraphs.analytics.realtime import live_visitors
from subgraphs.analytics.service import Group, Numbers, Series
from subgraphs.analytics.site_events import service as site_events
from subgraphs.analytics.site_events.query import EventsQuery
from subgraphs.analytics.site_events.service import SiteEventRow
from subgraphs.kernel import redis
from subgraphs.kernel.graphql.loading import Loader, OrmLoader
from subgraphs.kernel.graphql.paging import Page
from subgraphs.kernel.identity.tenants import visible_sites
from subgraphs.kernel.reads import ReadSession

Q = TypeVar("Q", bound=Hashable)
V = TypeVar("V")


class SiteKey(NamedTuple, Generic[Q]):
    """A query of one site."""

    site_id: UUID
    query: Q


class VisibleSite(Loader[UUID, bool]):
    """Whether the viewer may see a site."""

    async def load_all(self, session: ReadSession, keys: Sequence[UUID]) -> list[bool]:
        visible = await visible_sites(session, keys)
        return [key in visible for key in keys]


class LiveVisitors(Loader[UUID, int | None]):
    """The number of visitors on a site now; None if there are too few to publish."""

    async def batch_load_fn(self, keys: list[UUID]) -> list[int | None]:
        counts = await live_visitors.count(redis.client(), keys)
        return [counts[key] for key in keys]


class CountsLoader(Loader[SiteKey[Q], V], Generic[Q, V]):
    """Base of loaders that read ClickHouse: one query for all sites with the same query.

    It opens no database session.
    """

    async def batch_load_fn(self, keys: list[SiteKey[Q]]) -> list[V]:
        found = {query: await self.fetch(ids, query) for query, ids in _sites_by_query(keys)}
        return [found[key.query][key.site_id] for key in keys]

    async def fetch(self, site_ids: Collection[UUID], query: Q) -> Mapping[UUID, V]:
        raise NotImplementedError


class SeriesOfSite(CountsLoader[SeriesQuery, Series]):
    """A site's series."""

    async def fetch(self, site_ids: Collection[UUID], query: SeriesQuery) -> Mapping[UUID, Series]:
        return await service.get_series(site_ids, query)


class GroupsOfSite(CountsLoader[GroupsQuery, list[Group]]):
    """A site's groups, those with the highest ranking metric first."""

    async def fetch(
        self, site_ids: Collection[UUID], query: GroupsQuery
    ) -> Mapping[UUID, list[Group]]:
        return await service.get_groups(site_ids, query)


class TopPagesOfSite(CountsLoader[TopPagesQuery, list[Group]]):
    """A site's pages, those with the highest values first."""

    async def fetch(
        self, site_ids: Collection[UUID], query: TopPagesQuery
    ) -> Mapping[UUID, list[Group]]:
        return await service.get_top_pages(site_ids, query)


class SumsKey(NamedTuple):
    """All metrics of a site, or of one of its notifications or variants."""

    site_id: UUID
    hours: HourRange
    dimension: Dimension | None = None
    key: str = ""


class Sums(Loader[SumsKey, Numbers]):
    """The sums of all metrics; one query for each range and dimension."""

    async def batch_load_fn(self, keys: list[SumsKey]) -> list[Numbers]:
        batches: defaultdict[tuple[HourRange, Dimension | None], list[SumsKey]] = defaultdict(list)
        for key in keys:
            batches[key.hours, key.dimension].append(key)
        found: dict[SumsKey, Numbers] = {}
        for (hours, dimension), batch in batches.items():
            sites, values = {key.site_id for key in batch}, {key.key for key in batch} - {""}
            sums = await service.get_sums(sites, hours, dimension, values)
            for (site_id, value), numbers in sums.items():
                found[SumsKey(site_id, hours, dimension, value)] = numbers
        return [found.get(key, {}) for key in keys]


class GroupSeriesKey(NamedTuple):
    """The series of one group."""

    site_id: UUID
    query: SeriesQuery
    dimension: Dimension
    key: str


class GroupSeries(Loader[GroupSeriesKey, Series]):
    """The series of groups; one query for each series query and dimension."""

    async def batch_load_fn(self, keys: list[GroupSeriesKey]) -> list[Series]:
        batches: defaultdict[tuple[SeriesQuery, Dimension], list[GroupSeriesKey]]
        batches = defaultdict(list)
        for key in keys:
            batches[key.query, key.dimension].append(key)
        found: dict[GroupSeriesKey, Series] = {}
        for (query, dimension), batch in batches.items():
            sites, values = {key.site_id for key in batch}, {key.key for key in batch}
            groups = await service.get_group_series(sites, query, dimension, values)
            for (site_id, value), series in groups.items():
                found[GroupSeriesKey(site_id, query, dimension, value)] = series
        return [found.get(key) or service.empty_series(key.query) for key in keys]


class EventsOfSite(OrmLoader[SiteKey[EventsQuery], Page[SiteEventRow]]):
    """A page of a site's events."""

    async def load_all(
        self, session: AsyncSession, keys: Sequence[SiteKey[EventsQuery]]
    ) -> list[Page[SiteEventRow]]:
        pages = {
            query: await site_events.list_for_sites(session, ids, query)
            for query, ids in _sites_by_query(keys)
        }
        return [pages[key.query][key.site_id] for key in keys]


def _sites_by_query(keys: Sequence[SiteKey[Q]]) -> Collection[tuple[Q, list[UUID]]]:
    sites: defaultdict[Q, list[UUID]] = defaultdict(list)
    for key in keys:
        sites[key.query].append(key.site_id)
    return sites.items()
