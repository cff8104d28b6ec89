"""The rules of analytics: which periods may be asked for, and how counts become numbers."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import NamedTuple
from uuid import UUID

from subgraphs.analytics import query_range
from subgraphs.analytics.clickhouse import store
from subgraphs.analytics.clickhouse.store import HOUR, Dimension
from subgraphs.kernel.errors import BadUserInput


class Granularity(Enum):
    HOUR = "HOUR"
    DAY = "DAY"


class Metric(Enum):
    """What is counted; the values are the store's."""

    ORDERS = "orders"
    PAGE_VIEWS = "page_views"
    PUBLISHED = "published"
    SHOWN = "shown"
    CLICKED = "clicked"
    DISMISSED = "dismissed"
    CONVERTED = "converted"
    CONVERTED_SHOWN = "converted_shown"
    CONVERTED_HELD_OUT = "converted_held_out"
    WITHHELD = "withheld"
    RETRACTED = "retracted"
    REVENUE = "revenue"


ALL_METRICS = tuple(metric.value for metric in Metric)

_REVENUE_TO_COMPARE = ("revenue_shown", "revenue_held_out")
"""Of the conversions that no click led to."""


class GroupBy(Enum):
    """What numbers may be told apart by; the values are the store's dimensions."""

    NOTIFICATION = "notification"
    VARIANT = "variant"
    PAGE = "page"
    DEVICE = "device"
    COUNTRY = "country"


_STEP = {Granularity.HOUR: timedelta(hours=1), Granularity.DAY: timedelta(days=1)}
_STORE_STEP = {Granularity.HOUR: store.Step.HOUR, Granularity.DAY: store.Step.DAY}

MAX_DAYS = {Granularity.HOUR: 92, Granularity.DAY: 800}
"""A quarter by the hour, two years by the day: some two thousand points at most."""

MAX_GROUPS = 50

MAX_GROUP_POINTS = 12_000
"""Points of all of a site's groups together: what a browser still draws, and half a second here."""

Numbers = Mapping[str, int]
"""Values by the store's metrics."""


class Period(NamedTuple):
    """Whole buckets of UTC, `end` not included."""

    start: datetime
    end: datetime
    granularity: Granularity

    @property
    def length(self) -> int:
        """How many buckets there are."""
        return (self.end - self.start) // _STEP[self.granularity]

    def buckets(self) -> list[datetime]:
        step = _STEP[self.granularity]
        return [self.start + n * step for n in range(self.length)]


class Span(NamedTuple):
    """Whole hours of UTC, `end` not included."""

    start: datetime
    end: datetime


class Asked(NamedTuple):
    """A series; hashable, so that it can be part of a loader's key."""

    period: Period
    metrics: tuple[str, ...]


class AskedGroups(NamedTuple):
    """The groups in which a thing happened most."""

    series: Asked
    dimension: Dimension
    most: int


class Series(NamedTuple):
    """How often each thing happened, in each bucket and in all."""

    points: dict[datetime, dict[str, int]]
    totals: dict[str, int]


class Group(NamedTuple):
    """The numbers of one notification, page, device and so on."""

    key: str
    numbers: Numbers


def period(start: datetime, end: datetime, granularity: Granularity) -> Period:
    """The buckets that a range touches.

    Raises:
        BadUserInput: a time without an offset or out of bounds, an end that is not after the
            start, or too long a range.
    """
    query_range.check_range(start, end)
    first = _floor(start, granularity)
    last = _floor(end - timedelta(microseconds=1), granularity) + _STEP[granularity]
    longest = MAX_DAYS[granularity]
    if last - first > timedelta(days=longest):
        raise BadUserInput(f"By {granularity.value}, a range may span {longest} days.")
    return Period(first, last, granularity)


def span(start: datetime, end: datetime) -> Span:
    """The hours that a range touches, for sums.

    Raises:
        BadUserInput: as for `period`, with the longest range of all.
    """
    query_range.check_range(start, end)
    longest = max(MAX_DAYS.values())
    if end - start > timedelta(days=longest):
        raise BadUserInput(f"A range may span {longest} days.")
    last = store.start_of_hour(end - timedelta(microseconds=1)) + HOUR
    return Span(store.start_of_hour(start), last)


def since(start: datetime) -> Span:
    """The hours from the one of `start` to the open one."""
    now = store.start_of_hour(datetime.now(UTC)) + HOUR
    return Span(store.start_of_hour(start), max(now, store.start_of_hour(start) + HOUR))


def asked(period: Period, metrics: Collection[Metric] | None) -> Asked:
    """A series of these metrics, or of all.

    Raises:
        BadUserInput: an empty list of metrics.
    """
    if metrics is None:
        return Asked(period, ALL_METRICS)
    if not metrics:
        raise BadUserInput("`metrics` names at least one; leave it out for all.")
    return Asked(period, tuple(it.value for it in Metric if it in metrics))


def asked_groups(series: Asked, by: GroupBy, most: int) -> AskedGroups:
    """The groups of a series.

    Raises:
        BadUserInput: too many groups, or none.
    """
    if not 1 <= most <= MAX_GROUPS:
        raise BadUserInput(f"`topGroups` is between 1 and {MAX_GROUPS}.")
    return AskedGroups(series, Dimension(by.value), most)


async def series(site_ids: Collection[UUID], asked: Asked) -> Mapping[UUID, Series]:
    """The series of many sites in one query."""
    found = {site_id: _empty(asked.period) for site_id in site_ids}
    for counts in await _counts(site_ids, asked):
        _add(found[counts.site_id], counts)
    return found


async def groups(site_ids: Collection[UUID], asked: AskedGroups) -> Mapping[UUID, list[Group]]:
    """Each site's groups in one query, those with the most of the ranking metric first."""
    period = asked.series.period
    return await top(
        site_ids,
        Span(period.start, period.end),
        asked.dimension,
        asked.series.metrics,
        by=ranking(asked.series.metrics),
        most=asked.most,
    )


def ranking(metrics: Collection[str]) -> str:
    """The metric that groups are ranked by: `shown` where it is asked for, else the first."""
    return Metric.SHOWN.value if Metric.SHOWN.value in metrics else next(iter(metrics))


async def top(
    site_ids: Collection[UUID],
    span: Span,
    dimension: Dimension,
    metrics: Collection[str],
    *,
    by: str,
    most: int,
) -> Mapping[UUID, list[Group]]:
    """Each site's keys with the most of one metric, in one query."""
    found: dict[UUID, dict[str, dict[str, int]]] = {site_id: {} for site_id in site_ids}
    rows = await store.totals(
        site_ids, *span, dimension=dimension, metrics=metrics, most=most, by=by
    )
    for row in rows:
        found[row.site_id].setdefault(row.key, {})[row.metric] = row.value
    return {
        site_id: [Group(key, numbers) for key, numbers in keys.items()]
        for site_id, keys in found.items()
    }


async def group_series(
    site_ids: Collection[UUID], asked: Asked, dimension: Dimension, keys: Collection[str]
) -> Mapping[tuple[UUID, str], Series]:
    """The series of many groups in one query; groups where nothing happened are absent."""
    found: dict[tuple[UUID, str], Series] = {}
    for counts in await _counts(site_ids, asked, dimension, keys):
        place = counts.site_id, counts.key
        if place not in found:
            found[place] = _empty(asked.period)
        _add(found[place], counts)
    return found


def empty_series(asked: Asked) -> Series:
    """The series of a time in which nothing happened."""
    return _empty(asked.period)


async def sums(
    site_ids: Collection[UUID],
    span: Span,
    dimension: Dimension = Dimension.TOTAL,
    keys: Collection[str] = (),
) -> Mapping[tuple[UUID, str], Numbers]:
    """All metrics' sums by site and key, in one query; what never happened is absent."""
    found: dict[tuple[UUID, str], dict[str, int]] = {}
    for row in await store.totals(
        site_ids, *span, dimension=dimension, metrics=ALL_METRICS + _REVENUE_TO_COMPARE, keys=keys
    ):
        found.setdefault((row.site_id, row.key), {})[row.metric] = row.value
    return found


def rest(totals: Numbers, groups: Collection[Group]) -> dict[str, int]:
    """What of the totals is in none of the groups."""
    # The two are read one after the other: what happens in between must not show as less than none.
    return {
        metric: max(0, value - sum(group.numbers.get(metric, 0) for group in groups))
        for metric, value in totals.items()
    }


async def _counts(
    site_ids: Collection[UUID],
    asked: Asked,
    dimension: Dimension = Dimension.TOTAL,
    keys: Collection[str] = (),
) -> list[store.Counts]:
    start, end, granularity = asked.period
    return await store.counts(
        site_ids,
        start,
        end,
        step=_STORE_STEP[granularity],
        dimension=dimension,
        metrics=asked.metrics,
        keys=keys,
    )


def _empty(period: Period) -> Series:
    return Series({bucket: {} for bucket in period.buckets()}, {})


def _add(series: Series, counts: store.Counts) -> None:
    """Each site's metric and key come once, with all their buckets."""
    for start, value in zip(counts.starts, counts.values, strict=True):
        series.points[start][counts.metric] = value
    series.totals[counts.metric] = sum(counts.values)


def _floor(moment: datetime, granularity: Granularity) -> datetime:
    hour = store.start_of_hour(moment)
    return hour if granularity is Granularity.HOUR else hour.replace(hour=0)
