"""GraphQL types of the counts of a site: totals, points and groups."""

from __future__ import annotations

from typing import Self
from uuid import UUID

import strawberry

from subgraphs.analytics import service
from subgraphs.analytics.clickhouse.metrics import Dimension, Metric
from subgraphs.analytics.loaders import (
    GroupSeries,
    GroupSeriesKey,
    GroupsOfSite,
    SeriesOfSite,
    SiteKey,
)
from subgraphs.analytics.queries import MAX_GROUP_POINTS, GroupsQuery, SeriesQuery
from subgraphs.analytics.service import Group, Series
from subgraphs.analytics.types.ab_tests import ABTestVariant
from subgraphs.analytics.types.metrics import (
    AnalyticsPoint,
    AnalyticsTotals,
    Counters,
    points_of,
    requested_revenue,
)
from subgraphs.analytics.types.notifications import Notification
from subgraphs.kernel.errors import BadUserInput
from subgraphs.kernel.graphql.context import Info
from subgraphs.kernel.graphql.selections import most_names
from subgraphs.kernel.graphql.types import BigInt, Money


@strawberry.type
class AnalyticsGroup:
    """The counts of one notification, variant, page, device class or country."""

    key: str = strawberry.field(
        description="The group's value: a notification or variant ID, a page path, a device class, "
        "or an ISO 3166-1 country code."
    )
    totals: Counters = strawberry.field(description="Sums over the whole range.")
    revenue: list[Money] | None = strawberry.field(
        description="Revenue of conversions after a click, by currency; null if `metrics` does not "
        "name REVENUE."
    )
    site_id: strawberry.Private[UUID]
    query: strawberry.Private[GroupsQuery]
    group_count: strawberry.Private[int]

    @strawberry.field(description="The notification; null unless grouped by NOTIFICATION.")
    def notification(self) -> Notification | None:
        if self.query.dimension is not Dimension.NOTIFICATION:
            return None
        return Notification(id=strawberry.ID(self.key))

    @strawberry.field(description="The variant; null unless grouped by VARIANT.")
    def variant(self) -> ABTestVariant | None:
        if self.query.dimension is not Dimension.VARIANT:
            return None
        return ABTestVariant(id=strawberry.ID(self.key))

    @strawberry.field(
        description="One point for each hour or day, also without events. All groups of a site may "
        f"have at most {MAX_GROUP_POINTS} points together."
    )
    async def points(self, info: Info) -> list[AnalyticsPoint]:
        series = self.query.series
        if self.group_count * series.period.length > MAX_GROUP_POINTS:
            raise BadUserInput(
                f"`points` of all groups may have at most {MAX_GROUP_POINTS} points: "
                "request fewer groups, a shorter range, or days instead of hours."
            )
        _charge_for_points(info, series)
        key = GroupSeriesKey(self.site_id, series, self.query.dimension, self.key)
        return points_of(await info.context.loader(GroupSeries).load(key), series)

    @classmethod
    def of(cls, group: Group, site_id: UUID, query: GroupsQuery, group_count: int) -> Self:
        return cls(
            key=group.key,
            totals=Counters.of(group.numbers, query.series.metrics),
            revenue=requested_revenue(group.numbers, query.series),
            site_id=site_id,
            query=query,
            group_count=group_count,
        )


@strawberry.type
class SiteAnalytics:
    """The counts of a site over a range. The current, unfinished hour is included."""

    site_id: strawberry.Private[UUID]
    query: strawberry.Private[SeriesQuery]
    groups_query: strawberry.Private[GroupsQuery | None]

    @strawberry.field(description="Sums over the whole range.")
    async def totals(self, info: Info) -> Counters:
        return Counters.of((await self._series(info)).totals, self.query.metrics)

    @strawberry.field(
        description="Revenue of conversions after a click, by currency; null if `metrics` does not "
        "name REVENUE."
    )
    async def revenue(self, info: Info) -> list[Money] | None:
        return requested_revenue((await self._series(info)).totals, self.query)

    @strawberry.field(description="One point for each hour or day, in order, also without events.")
    async def points(self, info: Info) -> list[AnalyticsPoint]:
        _charge_for_points(info, self.query)
        return points_of(await self._series(info), self.query)

    @strawberry.field(
        description="The values of one metric in the order of `points`, for a chart; smaller and "
        "faster than `points`. Null if `metrics` does not name the metric, and for REVENUE."
    )
    async def values(self, info: Info, metric: Metric) -> list[BigInt] | None:
        if metric.value not in self.query.metrics or metric is Metric.REVENUE:
            return None
        info.context.query_cost.charge(self.query.period.length)
        return list(map(BigInt, (await self._series(info)).values_of(metric.value)))

    @strawberry.field(
        description="The `topGroups` groups with the highest `shown`, highest first. If `metrics` "
        "does not name SHOWN, its first metric ranks the groups. Null without `groupBy`."
    )
    async def groups(self, info: Info) -> list[AnalyticsGroup] | None:
        query = self.groups_query
        if query is None:
            return None
        groups = await info.context.loader(GroupsOfSite).load(SiteKey(self.site_id, query))
        return [AnalyticsGroup.of(it, self.site_id, query, len(groups)) for it in groups]

    @strawberry.field(
        description="The counts that are in none of `groups`: those of further groups, and those "
        "without a group. `groups` and `other` add up to the totals. Null without `groupBy`."
    )
    async def other(self, info: Info) -> AnalyticsTotals | None:
        query = self.groups_query
        if query is None:
            return None
        groups = await info.context.loader(GroupsOfSite).load(SiteKey(self.site_id, query))
        totals = (await self._series(info)).totals
        return AnalyticsTotals.of(service.remaining_totals(totals, groups), self.query)

    async def _series(self, info: Info) -> Series:
        return await info.context.loader(SeriesOfSite).load(SiteKey(self.site_id, self.query))


def _charge_for_points(info: Info, query: SeriesQuery) -> None:
    """Charge the cost of a list of points, multiplied by the most aliases of one of its fields.

    Raises:
        BadUserInput: the request exceeds its maximum cost.
    """
    info.context.query_cost.charge(query.period.length * most_names(info._raw_info))
