"""The queries of counts, and the limits of their arguments."""

from collections.abc import Collection
from typing import NamedTuple

from subgraphs.analytics.clickhouse.metrics import Dimension, Metric
from subgraphs.analytics.query_range import HourRange, Period
from subgraphs.kernel.errors import BadUserInput

ALL_METRICS = tuple(metric.value for metric in Metric)

MAX_GROUPS = 50

MAX_GROUP_POINTS = 12_000
"""Points of all groups of a site together. A browser can still draw them, and a query of them takes
half a second on two cores."""


class SeriesQuery(NamedTuple):
    """The metrics of a series and its period; hashable, to be part of a loader's key."""

    period: Period
    metrics: tuple[str, ...]


class GroupsQuery(NamedTuple):
    """The groups with the highest values; hashable, to be part of a loader's key."""

    series: SeriesQuery
    dimension: Dimension
    limit: int


class TopPagesQuery(NamedTuple):
    """The pages with the highest values of one metric; hashable, to be part of a loader's key."""

    hours: HourRange
    by: str
    limit: int


def series_query(period: Period, metrics: Collection[Metric] | None) -> SeriesQuery:
    """A query of these metrics, or of all metrics if None.

    Raises:
        BadUserInput: `metrics` is empty.
    """
    if metrics is None:
        return SeriesQuery(period, ALL_METRICS)
    if not metrics:
        raise BadUserInput("`metrics` must name at least one metric; omit it to get all metrics.")
    return SeriesQuery(period, tuple(it.value for it in Metric if it in metrics))


def groups_query(series: SeriesQuery, dimension: Dimension, limit: int) -> GroupsQuery:
    """A query of the groups of a series.

    Raises:
        BadUserInput: `limit` is out of 1..MAX_GROUPS.
    """
    if not 1 <= limit <= MAX_GROUPS:
        raise BadUserInput(f"`topGroups` must be between 1 and {MAX_GROUPS}.")
    return GroupsQuery(series, dimension, limit)


def ranking_metric(metrics: Collection[str]) -> str:
    """The metric that ranks groups: `shown` if it is queried, otherwise the first metric."""
    return Metric.SHOWN.value if Metric.SHOWN.value in metrics else next(iter(metrics))
