"""What the graph shows of analytics: what it adds to sites and notifications."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self
from uuid import UUID

import strawberry

from subgraphs.analytics import service, site_events
from subgraphs.analytics.archive.loaders import ArchivesOfSite
from subgraphs.analytics.archive.types import Archive
from subgraphs.analytics.clickhouse.store import Dimension
from subgraphs.analytics.exports.loaders import ExportsOfSite
from subgraphs.analytics.exports.types import Export
from subgraphs.analytics.loaders import (
    AskedTop,
    GroupSeries,
    GroupSeriesKey,
    GroupsOfSite,
    HistoryOfSite,
    LiveVisitors,
    OfSite,
    PagesOfSite,
    SeriesOfSite,
    Sums,
    SumsKey,
    VisibleSite,
)
from subgraphs.analytics.service import Asked, AskedGroups, Group, Series
from subgraphs.analytics.types.events import SiteEvent, SiteEventFilter, connection
from subgraphs.analytics.types.metrics import (
    ABTestVariant,
    AnalyticsPoint,
    AnalyticsTotals,
    Counters,
    Funnel,
    PageNumbers,
    Performance,
    points_of,
    revenue_if_asked,
)
from subgraphs.kernel.errors import BadUserInput, NotFound
from subgraphs.kernel.graphql import connections, paging
from subgraphs.kernel.graphql.connections import Connection
from subgraphs.kernel.graphql.context import Info
from subgraphs.kernel.graphql.loading import ChildKey
from subgraphs.kernel.graphql.paging import MAX_PAGE
from subgraphs.kernel.graphql.query_cost import MAX_QUERY_COST
from subgraphs.kernel.graphql.selections import most_names
from subgraphs.kernel.graphql.types import BigInt, Money, to_uuid
from subgraphs.kernel.identity.permissions import IsUser


@strawberry.type
class AnalyticsGroup:
    """The numbers of one notification, variant, page, device or country."""

    key: str = strawberry.field(description="An id, a page's path, a device, two letters.")
    totals: Counters
    revenue: list[Money] | None
    site_id: strawberry.Private[UUID]
    asked: strawberry.Private[AskedGroups]
    group_count: strawberry.Private[int]

    @strawberry.field(description="Where the groups are notifications.")
    def notification(self) -> Notification | None:
        is_one = self.asked.dimension is Dimension.NOTIFICATION
        return Notification(id=strawberry.ID(self.key)) if is_one else None

    @strawberry.field(description="Where the groups are variants.")
    def variant(self) -> ABTestVariant | None:
        is_one = self.asked.dimension is Dimension.VARIANT
        return ABTestVariant(id=strawberry.ID(self.key)) if is_one else None

    @strawberry.field(description="At most 12000 in all groups of a site together.")
    async def points(self, info: Info) -> list[AnalyticsPoint]:
        asked = self.asked.series
        if self.group_count * asked.period.length > service.MAX_GROUP_POINTS:
            raise BadUserInput(
                f"The groups have more than {service.MAX_GROUP_POINTS} points: ask for fewer "
                "groups, a shorter range, or days instead of hours."
            )
        charge_for_points(info, asked)
        key = GroupSeriesKey(self.site_id, asked, self.asked.dimension, self.key)
        return points_of(await info.context.loader(GroupSeries).load(key), asked)

    @classmethod
    def of(cls, group: Group, site_id: UUID, asked: AskedGroups, group_count: int) -> Self:
        return cls(
            key=group.key,
            totals=Counters.of(group.numbers, asked.series.metrics),
            revenue=revenue_if_asked(group.numbers, asked.series),
            site_id=site_id,
            asked=asked,
            group_count=group_count,
        )


@strawberry.type
class SiteAnalytics:
    """The numbers of a site. The open hour is included."""

    site_id: strawberry.Private[UUID]
    asked: strawberry.Private[Asked]
    by: strawberry.Private[AskedGroups | None]

    @strawberry.field
    async def totals(self, info: Info) -> Counters:
        return Counters.of((await self._series(info)).totals, self.asked.metrics)

    @strawberry.field(description="What orders after a click brought, by currency.")
    async def revenue(self, info: Info) -> list[Money] | None:
        return revenue_if_asked((await self._series(info)).totals, self.asked)

    @strawberry.field(description="One for each hour or day, also where nothing happened.")
    async def points(self, info: Info) -> list[AnalyticsPoint]:
        charge_for_points(info, self.asked)
        return points_of(await self._series(info), self.asked)

    @strawberry.field(
        description="One metric's values in the order of `points`, for a chart: as a list they "
        "cost less than an object each. Null where `metrics` does not name it, and of REVENUE."
    )
    async def values(self, info: Info, metric: service.Metric) -> list[BigInt] | None:
        if metric.value not in self.asked.metrics or metric is service.Metric.REVENUE:
            return None
        info.context.query_cost.charge(self.asked.period.length)
        points = (await self._series(info)).points.values()
        return [BigInt(numbers.get(metric.value, 0)) for numbers in points]

    @strawberry.field(
        description="With `groupBy`: the `topGroups` with the most `shown` (or of the first of "
        "`metrics`, if `shown` is not asked for), most first."
    )
    async def groups(self, info: Info) -> list[AnalyticsGroup] | None:
        if self.by is None:
            return None
        groups = await info.context.loader(GroupsOfSite).load(OfSite(self.site_id, self.by))
        return [AnalyticsGroup.of(it, self.site_id, self.by, len(groups)) for it in groups]

    @strawberry.field(
        description="With `groupBy`: all that is in none of the groups, because they are more or "
        "because it belongs to none; groups and other add up to the totals."
    )
    async def other(self, info: Info) -> AnalyticsTotals | None:
        if self.by is None:
            return None
        groups = await info.context.loader(GroupsOfSite).load(OfSite(self.site_id, self.by))
        totals = (await self._series(info)).totals
        return AnalyticsTotals.of(service.rest(totals, groups), self.asked)

    async def _series(self, info: Info) -> Series:
        return await info.context.loader(SeriesOfSite).load(OfSite(self.site_id, self.asked))


@strawberry.federation.type(keys=["id"])
class Site:
    """A shop, as far as its numbers go."""

    id: strawberry.ID

    @strawberry.field(
        permission_classes=[IsUser],
        description="Counts from `start` to `end`, both widened to whole hours or days of UTC. "
        "`metrics` names the metrics to count (default: all); `groupBy` adds groups, at most 50. "
        f"One request may return {MAX_QUERY_COST} points in all: each series counts once, and once "
        "more for each list of its points.",
    )
    async def analytics(
        self,
        info: Info,
        start: datetime,
        end: datetime,
        granularity: service.Granularity = service.Granularity.HOUR,
        metrics: list[service.Metric] | None = None,
        group_by: service.GroupBy | None = None,
        top_groups: int = 10,
    ) -> SiteAnalytics:
        asked = service.asked(service.period(start, end, granularity), metrics)
        by = service.asked_groups(asked, group_by, top_groups) if group_by else None
        info.context.query_cost.charge(asked.period.length)
        return SiteAnalytics(site_id=await visible(info, self.id), asked=asked, by=by)

    @strawberry.field(
        permission_classes=[IsUser],
        description="The pages with the most of `by`, over whole hours.",
    )
    async def top_pages(
        self,
        info: Info,
        start: datetime,
        end: datetime,
        first: int = 10,
        by: service.Metric = service.Metric.SHOWN,
    ) -> list[PageNumbers]:
        if not 1 <= first <= MAX_PAGE:
            raise BadUserInput(f"`first` must be between 1 and {MAX_PAGE}.")
        asked = AskedTop(service.span(start, end), by.value, first)
        site_id = await visible(info, self.id)
        pages = await info.context.loader(PagesOfSite).load(OfSite(site_id, asked))
        return [PageNumbers(page=it.key, performance=Performance.of(it.numbers)) for it in pages]

    @strawberry.field(
        permission_classes=[IsUser],
        description="From claims shown to orders, over whole hours.",
    )
    async def funnel(self, info: Info, start: datetime, end: datetime) -> Funnel:
        span = service.span(start, end)
        key = SumsKey(await visible(info, self.id), span)
        return Funnel.of(await info.context.loader(Sums).load(key))

    @strawberry.field(
        permission_classes=[IsUser],
        description="Visitors of the last five minutes, without machines; null below five.",
    )
    async def live_visitors(self, info: Info) -> int | None:
        site_id = await visible(info, self.id)
        return await info.context.loader(LiveVisitors).load(site_id)

    @strawberry.field(
        permission_classes=[IsUser],
        description="What happened, newest first: facts from outside and what became of claims.",
    )
    async def events(
        self,
        info: Info,
        first: int = 20,
        after: str | None = None,
        filter: SiteEventFilter | None = None,
    ) -> Connection[SiteEvent]:
        asked = site_events.asked(
            first, after, filter.checked() if filter else site_events.Filter()
        )
        key = OfSite(await visible(info, self.id), asked)
        return connection(await info.context.loader(HistoryOfSite).load(key), asked)

    @strawberry.field(
        permission_classes=[IsUser],
        description="What has left the ledger for the archive, newest first.",
    )
    async def archives(
        self, info: Info, first: int = 20, after: str | None = None
    ) -> Connection[Archive]:
        key = ChildKey(to_uuid(self.id), paging.window(first, after))
        page = await info.context.loader(ArchivesOfSite).load(key)
        return connections.connection(page, Archive.of)

    @strawberry.field(permission_classes=[IsUser], description="Files of its events, newest first.")
    async def exports(
        self, info: Info, first: int = 20, after: str | None = None
    ) -> Connection[Export]:
        key = ChildKey(to_uuid(self.id), paging.window(first, after))
        page = await info.context.loader(ExportsOfSite).load(key)
        return connections.connection(page, Export.of)

    @classmethod
    def resolve_reference(cls, id: strawberry.ID) -> Self:
        return cls(id=id)


@strawberry.federation.type(keys=["id"])
class Notification:
    """What a merchant shows, as far as its numbers go."""

    id: strawberry.ID
    site: Site = strawberry.federation.field(external=True, default=None)

    @strawberry.federation.field(
        permission_classes=[IsUser],
        requires=["site { id }"],
        description="What its claims achieved from `start` to `end`, over whole hours.",
    )
    async def stats(self, info: Info, start: datetime, end: datetime) -> Performance:
        span = service.span(start, end)
        site_id = await visible(info, self.site.id)
        key = SumsKey(site_id, span, Dimension.NOTIFICATION, str(to_uuid(self.id)))
        return Performance.of(await info.context.loader(Sums).load(key))

    @classmethod
    def resolve_reference(cls, id: strawberry.ID, site: Mapping[str, Any] | None = None) -> Self:
        return cls(id=id, site=site_of(site))


async def visible(info: Info, id_: strawberry.ID) -> UUID:
    """A site's id, if the viewer may see the site.

    Raises:
        NotFound: there is none, or it is another's.
    """
    site_id = to_uuid(id_)
    if not await info.context.loader(VisibleSite).load(site_id):
        raise NotFound("There is no such site.")
    return site_id


def charge_for_points(info: Info, asked: Asked) -> None:
    """Take points from what the request may have, as often as each of them tells the same.

    Raises:
        BadUserInput: they are more than is left.
    """
    info.context.query_cost.charge(asked.period.length * most_names(info._raw_info))


def site_of(reference: Mapping[str, Any] | None) -> Site:
    """The router hands over what a field requires together with the key; without it, no site."""
    return Site(id=strawberry.ID(reference["id"] if reference else ""))
