"""GraphQL types of counts: metrics, counters, points and totals."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from itertools import repeat
from typing import Self

import strawberry

from subgraphs.analytics.clickhouse import metrics as store
from subgraphs.analytics.queries import ALL_METRICS, SeriesQuery
from subgraphs.analytics.service import Numbers, Series
from subgraphs.kernel.graphql.types import BigInt, Money

Granularity = strawberry.enum(
    store.Granularity, description="The length of a point of a series: an hour or a day of UTC."
)
Metric = strawberry.enum(
    store.Metric,
    description="A metric that is counted. ORDERS and PAGE_VIEWS count source events, REVENUE sums "
    "the value of conversions after a click, and the others count what happened to claims.",
)
GroupBy = strawberry.enum(
    store.Dimension, name="GroupBy", description="The dimension by which counts are grouped."
)

_REVENUE = store.Metric.REVENUE.value


@strawberry.type
class Counters:
    """Counts by metric. A field is null if the `metrics` argument does not name it."""

    orders: BigInt | None = strawberry.field(
        default=None, description="Orders placed in the shop, with or without a claim."
    )
    page_views: BigInt | None = strawberry.field(
        default=None, description="Pages viewed, without known bots."
    )
    published: BigInt | None = strawberry.field(
        default=None, description="Claims published to visitors."
    )
    shown: BigInt | None = strawberry.field(
        default=None, description="Times that a claim was shown to a visitor."
    )
    clicked: BigInt | None = strawberry.field(
        default=None, description="Times that a visitor clicked a claim."
    )
    dismissed: BigInt | None = strawberry.field(
        default=None, description="Times that a visitor closed a claim."
    )
    converted: BigInt | None = strawberry.field(
        default=None,
        description="Orders and goals of visitors who clicked a claim in the 24 hours before.",
    )
    converted_shown: BigInt | None = strawberry.field(
        default=None,
        description="Orders and goals of visitors who saw a claim in the 24 hours before and "
        "clicked none.",
    )
    converted_held_out: BigInt | None = strawberry.field(
        default=None,
        description="Orders and goals of visitors from whom a claim was withheld in the 24 hours "
        "before, and who neither saw nor clicked one.",
    )
    withheld: BigInt | None = strawberry.field(
        default=None, description="Times that a claim was withheld from the control group."
    )
    retracted: BigInt | None = strawberry.field(
        default=None, description="Claims retracted after a refund, a cancellation or an erasure."
    )

    @classmethod
    def of(cls, numbers: Numbers, metrics: Collection[str] = ALL_METRICS) -> Self:
        return cls(**{it: BigInt(numbers.get(it, 0)) for it in metrics if it != _REVENUE})


@strawberry.type
class AnalyticsPoint:
    """The counts of one hour or day."""

    start: datetime = strawberry.field(description="The start of the hour or day, in UTC.")
    counters: Counters
    revenue: list[Money] | None = strawberry.field(
        description="Revenue of conversions after a click, by currency; null if `metrics` does not "
        "name REVENUE."
    )


@strawberry.type
class AnalyticsTotals:
    """Sums over the whole range."""

    totals: Counters
    revenue: list[Money] | None = strawberry.field(
        description="Revenue of conversions after a click, by currency; null if `metrics` does not "
        "name REVENUE."
    )

    @classmethod
    def of(cls, numbers: Numbers, query: SeriesQuery) -> Self:
        return cls(
            totals=Counters.of(numbers, query.metrics),
            revenue=requested_revenue(numbers, query),
        )


def points_of(series: Series, query: SeriesQuery) -> list[AnalyticsPoint]:
    """The points of a series, in order."""
    names = [it for it in query.metrics if it != _REVENUE]
    rows = zip(*map(series.values_of, names), strict=True) if names else repeat(())
    return [
        AnalyticsPoint(
            start=start, counters=Counters(**dict(zip(names, row, strict=True))), revenue=revenue
        )
        for start, row, revenue in zip(
            series.positions, rows, _revenues(series, query), strict=False
        )
    ]


def _revenues(series: Series, query: SeriesQuery) -> Iterable[list[Money] | None]:
    """The revenue of each point."""
    if _REVENUE not in query.metrics:
        return repeat(None)
    columns = {it: values for it, values in series.values.items() if it.startswith(f"{_REVENUE}:")}
    return (
        revenue_of(
            {it: value for it, values in columns.items() if (value := values[position]) is not None}
        )
        for position in range(len(series.positions))
    )


def revenue_of(numbers: Numbers, metric: str = _REVENUE) -> list[Money]:
    """The sums of a revenue metric, ordered by currency."""
    prefix = f"{metric}:"
    return [
        Money(amount_minor=BigInt(value), currency=name.removeprefix(prefix))
        for name, value in sorted(numbers.items())
        if name.startswith(prefix)
    ]


def requested_revenue(numbers: Numbers, query: SeriesQuery) -> list[Money] | None:
    """The revenue by currency; None if the query does not name the metric."""
    return revenue_of(numbers) if _REVENUE in query.metrics else None
