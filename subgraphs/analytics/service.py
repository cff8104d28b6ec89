"""Series, groups and sums of many sites, each in one query of ClickHouse."""

from collections.abc import Collection, Mapping
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

from subgraphs.analytics.clickhouse.counts import Counts, get_counts, get_totals
from subgraphs.analytics.clickhouse.metrics import REVENUE_METRICS, Dimension
from subgraphs.analytics.queries import (
    ALL_METRICS,
    GroupsQuery,
    SeriesQuery,
    TopPagesQuery,
    ranking_metric,
)
from subgraphs.analytics.query_range import HourRange, Period

Numbers = Mapping[str, int]
"""Values by metric, named as in ClickHouse."""


class Series(NamedTuple):
    """Values by metric, for each bucket of a period and summed over all of them.

    A quarter by the hour has 2,160 buckets, so values are lists by metric, not mappings by bucket.
    """

    positions: Mapping[datetime, int]
    """The position of each bucket by its start, in order."""
    values: dict[str, list[int | None]]
    """Values in the order of the buckets; None without events. A metric without any is absent."""
    totals: dict[str, int]

    def values_of(self, metric: str) -> list[int]:
        """The values of a metric in the order of the buckets."""
        found = self.values.get(metric)
        return [value or 0 for value in found] if found else [0] * len(self.positions)


class Group(NamedTuple):
    """The values of one notification, variant, page, device or country."""

    key: str
    numbers: Numbers


async def get_series(site_ids: Collection[UUID], query: SeriesQuery) -> Mapping[UUID, Series]:
    """The series of many sites, in one query."""
    series = {site_id: empty_series(query) for site_id in site_ids}
    for counts in await _counts(site_ids, query):
        _add(series[counts.site_id], counts)
    return series


async def get_group_series(
    site_ids: Collection[UUID], query: SeriesQuery, dimension: Dimension, keys: Collection[str]
) -> Mapping[tuple[UUID, str], Series]:
    """The series of many groups by site and key, in one query; groups without counts are absent."""
    series: dict[tuple[UUID, str], Series] = {}
    for counts in await _counts(site_ids, query, dimension, keys):
        group = counts.site_id, counts.key
        if group not in series:
            series[group] = empty_series(query)
        _add(series[group], counts)
    return series


async def get_groups(site_ids: Collection[UUID], query: GroupsQuery) -> Mapping[UUID, list[Group]]:
    """The groups of each site in one query, those with the highest ranking metric first."""
    period, metrics = query.series
    return await _top_groups(
        site_ids,
        HourRange(period.start, period.end),
        query.dimension,
        metrics,
        by=ranking_metric(metrics),
        limit=query.limit,
    )


async def get_top_pages(
    site_ids: Collection[UUID], query: TopPagesQuery
) -> Mapping[UUID, list[Group]]:
    """The pages of each site in one query, those with the highest values of a metric first."""
    return await _top_groups(
        site_ids, query.hours, Dimension.PAGE, ALL_METRICS, by=query.by, limit=query.limit
    )


async def get_sums(
    site_ids: Collection[UUID],
    hours: HourRange,
    dimension: Dimension | None = None,
    keys: Collection[str] = (),
) -> Mapping[tuple[UUID, str], Numbers]:
    """The sums of all metrics by site and key, in one query; keys without counts are absent."""
    metrics = {*ALL_METRICS, *REVENUE_METRICS.values()}
    sums: dict[tuple[UUID, str], dict[str, int]] = {}
    for row in await get_totals(
        site_ids, *hours, dimension=dimension, metrics=sorted(metrics), keys=keys
    ):
        sums.setdefault((row.site_id, row.key), {})[row.metric] = row.value
    return sums


def empty_series(query: SeriesQuery) -> Series:
    """A series without any counts."""
    return Series(_positions(query.period), {}, {})


def remaining_totals(totals: Numbers, groups: Collection[Group]) -> dict[str, int]:
    """The totals less the groups; never negative."""
    # Totals and groups are two queries: an event between them may be in the groups alone.
    return {
        metric: max(0, value - sum(group.numbers.get(metric, 0) for group in groups))
        for metric, value in totals.items()
    }


@lru_cache(maxsize=16)
def _positions(period: Period) -> Mapping[datetime, int]:
    return {start: position for position, start in enumerate(period.buckets())}


async def _top_groups(
    site_ids: Collection[UUID],
    hours: HourRange,
    dimension: Dimension,
    metrics: Collection[str],
    *,
    by: str,
    limit: int,
) -> Mapping[UUID, list[Group]]:
    groups: dict[UUID, dict[str, dict[str, int]]] = {site_id: {} for site_id in site_ids}
    for row in await get_totals(
        site_ids, *hours, dimension=dimension, metrics=metrics, limit=limit, by=by
    ):
        groups[row.site_id].setdefault(row.key, {})[row.metric] = row.value
    return {
        site_id: [Group(key, numbers) for key, numbers in keys.items()]
        for site_id, keys in groups.items()
    }


async def _counts(
    site_ids: Collection[UUID],
    query: SeriesQuery,
    dimension: Dimension | None = None,
    keys: Collection[str] = (),
) -> list[Counts]:
    start, end, granularity = query.period
    return await get_counts(
        site_ids,
        start,
        end,
        granularity=granularity,
        dimension=dimension,
        metrics=query.metrics,
        keys=keys,
    )


def _add(series: Series, counts: Counts) -> None:
    """Add the counts of one metric; each metric and key of a site occurs once."""
    values: list[int | None] = [None] * len(series.positions)
    for start, value in zip(counts.starts, counts.values, strict=True):
        values[series.positions[start]] = value
    series.values[counts.metric] = values
    series.totals[counts.metric] = sum(counts.values)
