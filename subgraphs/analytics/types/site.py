"""What analytics adds to Site."""

from __future__ import annotations

from datetime import datetime
from typing import Self

import strawberry

from subgraphs.analytics import queries, query_range
from subgraphs.analytics.archive.loaders import ArchivesOfSite
from subgraphs.analytics.archive.types import Archive
from subgraphs.analytics.clickhouse.metrics import Dimension, Granularity, Metric
from subgraphs.analytics.exports.loaders import ExportsOfSite
from subgraphs.analytics.exports.types import Export
from subgraphs.analytics.loaders import (
    EventsOfSite,
    LiveVisitors,
    SiteKey,
    Sums,
    SumsKey,
    TopPagesOfSite,
)
from subgraphs.analytics.site_events.cursor import to_cursor
from subgraphs.analytics.site_events.query import EventFilter, events_query
from subgraphs.analytics.types.events import SiteEvent, SiteEventFilter
from subgraphs.analytics.types.performance import Funnel, PageNumbers, Performance
from subgraphs.analytics.types.site_analytics import SiteAnalytics
from subgraphs.analytics.types.visible_site import visible_site_id
from subgraphs.kernel.graphql import paging
from subgraphs.kernel.graphql.connections import Connection, connection
from subgraphs.kernel.graphql.context import Info
from subgraphs.kernel.graphql.loading import ChildKey
from subgraphs.kernel.graphql.query_cost import MAX_QUERY_COST
from subgraphs.kernel.graphql.types import to_uuid
from subgraphs.kernel.identity.permissions import IsUser


@strawberry.federation.type(keys=["id"])
class Site:
    """A shop. Analytics adds its counts, events, archives and exports."""

    id: strawberry.ID

    @strawberry.field(
        permission_classes=[IsUser],
        description="Counts of the hours or days (UTC) that overlap `start` to `end`: at most "
        f"{query_range.MAX_DAYS[Granularity.HOUR]} days by HOUR, "
        f"{query_range.MAX_DAYS[Granularity.DAY]} by DAY. `metrics` names the metrics to count "
        f"(default: all). `groupBy` adds groups, `topGroups` of them, 1 to {queries.MAX_GROUPS}. "
        f"One request may return {MAX_QUERY_COST} points in all: each series costs its points "
        "once, and once more for each list of them.",
    )
    async def analytics(
        self,
        info: Info,
        start: datetime,
        end: datetime,
        granularity: Granularity = Granularity.HOUR,
        metrics: list[Metric] | None = None,
        group_by: Dimension | None = None,
        top_groups: int = 10,
    ) -> SiteAnalytics:
        query = queries.series_query(query_range.period(start, end, granularity), metrics)
        groups_query = queries.groups_query(query, group_by, top_groups) if group_by else None
        info.context.query_cost.charge(query.period.length)
        return SiteAnalytics(
            site_id=await visible_site_id(info, self.id), query=query, groups_query=groups_query
        )

    @strawberry.field(
        permission_classes=[IsUser],
        description="The `first` pages with the highest value of `by`, highest first, in the hours "
        f"(UTC) that overlap `start` to `end`. `first` is 1 to {paging.MAX_PAGE}.",
    )
    async def top_pages(
        self,
        info: Info,
        start: datetime,
        end: datetime,
        first: int = 10,
        by: Metric = Metric.SHOWN,
    ) -> list[PageNumbers]:
        paging.check_first(first)
        query = queries.TopPagesQuery(query_range.hour_range(start, end), by.value, first)
        site_id = await visible_site_id(info, self.id)
        pages = await info.context.loader(TopPagesOfSite).load(SiteKey(site_id, query))
        return [PageNumbers(page=it.key, performance=Performance.of(it.numbers)) for it in pages]

    @strawberry.field(
        permission_classes=[IsUser],
        description="From claims shown to conversions, in the hours (UTC) that overlap `start` to "
        "`end`.",
    )
    async def funnel(self, info: Info, start: datetime, end: datetime) -> Funnel:
        hours = query_range.hour_range(start, end)
        key = SumsKey(await visible_site_id(info, self.id), hours)
        return Funnel.of(await info.context.loader(Sums).load(key))

    @strawberry.field(
        permission_classes=[IsUser],
        description="Visitors active in the last 5 minutes, without known bots; `null` while there "
        "are fewer than 5, to protect privacy.",
    )
    async def live_visitors(self, info: Info) -> int | None:
        site_id = await visible_site_id(info, self.id)
        return await info.context.loader(LiveVisitors).load(site_id)

    @strawberry.field(
        permission_classes=[IsUser],
        description="Source events and notification events, newest first. `first` is 1 to "
        f"{paging.MAX_PAGE}.",
    )
    async def events(
        self,
        info: Info,
        first: int = 20,
        after: str | None = None,
        filter: SiteEventFilter | None = None,
    ) -> Connection[SiteEvent]:
        query = events_query(first, after, filter.to_filter() if filter else EventFilter())
        key = SiteKey(await visible_site_id(info, self.id), query)
        page = await info.context.loader(EventsOfSite).load(key)
        return connection(page, SiteEvent.of, lambda row: to_cursor(row.position))

    @strawberry.field(
        permission_classes=[IsUser],
        description="Archives of events past the site's retention, newest first.",
    )
    async def archives(
        self, info: Info, first: int = 20, after: str | None = None
    ) -> Connection[Archive]:
        key = ChildKey(to_uuid(self.id), paging.window(first, after))
        page = await info.context.loader(ArchivesOfSite).load(key)
        return connection(page, Archive.of)

    @strawberry.field(
        permission_classes=[IsUser], description="Exports of the site's events, newest first."
    )
    async def exports(
        self, info: Info, first: int = 20, after: str | None = None
    ) -> Connection[Export]:
        key = ChildKey(to_uuid(self.id), paging.window(first, after))
        page = await info.context.loader(ExportsOfSite).load(key)
        return connection(page, Export.of)

    @classmethod
    def resolve_reference(cls, id: strawberry.ID) -> Self:
        return cls(id=id)
