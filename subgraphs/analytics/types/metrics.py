"""What the graph shows of numbers: counters, points, rates and funnels."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Self

import strawberry
from strawberry.federation.schema_directives import Key
from strawberry.federation.types import FieldSet

from subgraphs.analytics import rates, service
from subgraphs.analytics.service import Asked, Numbers, Series
from subgraphs.kernel.graphql.types import BigInt, Money

Granularity = strawberry.enum(
    service.Granularity, description="How long a point of a series is, in UTC."
)
Metric = strawberry.enum(service.Metric, description="What is counted.")
GroupBy = strawberry.enum(service.GroupBy, description="What numbers are told apart by.")

_REVENUE = service.Metric.REVENUE.value


@strawberry.federation.type(keys=[Key(fields=FieldSet("id"), resolvable=False)])
class ABTestVariant:
    id: strawberry.ID


@strawberry.type
class Counters:
    """How often each thing happened: orders at the shop, and what became of claims. Null where
    `metrics` was given and does not name it."""

    orders: BigInt | None = None
    page_views: BigInt | None = None
    published: BigInt | None = None
    shown: BigInt | None = None
    clicked: BigInt | None = None
    dismissed: BigInt | None = None
    converted: BigInt | None = strawberry.field(
        default=None,
        description="Orders and goals of visitors who had clicked a claim within the day.",
    )
    converted_shown: BigInt | None = strawberry.field(
        default=None,
        description="Orders and goals of visitors who had seen a claim and clicked none.",
    )
    converted_held_out: BigInt | None = strawberry.field(
        default=None,
        description="Orders and goals of visitors from whom claims were withheld to compare.",
    )
    withheld: BigInt | None = None
    retracted: BigInt | None = None

    @classmethod
    def of(cls, numbers: Numbers, metrics: Collection[str] = service.ALL_METRICS) -> Self:
        return cls(**{it: BigInt(numbers.get(it, 0)) for it in metrics if it != _REVENUE})


def revenue_of(numbers: Numbers, metric: str = _REVENUE) -> list[Money]:
    """What conversions brought, by currency."""
    prefix = f"{metric}:"
    return [
        Money(amount_minor=BigInt(value), currency=name.removeprefix(prefix))
        for name, value in sorted(numbers.items())
        if name.startswith(prefix)
    ]


def revenue_if_asked(numbers: Numbers, asked: Asked) -> list[Money] | None:
    return revenue_of(numbers) if _REVENUE in asked.metrics else None


@strawberry.type
class AnalyticsPoint:
    """The numbers of one hour or day, which starts at `start`."""

    start: datetime
    counters: Counters
    revenue: list[Money] | None


def points_of(series: Series, asked: Asked) -> list[AnalyticsPoint]:
    return [
        AnalyticsPoint(
            start=start,
            counters=Counters.of(numbers, asked.metrics),
            revenue=revenue_if_asked(numbers, asked),
        )
        for start, numbers in series.points.items()
    ]


@strawberry.type
class AnalyticsTotals:
    """Sums over the whole range."""

    totals: Counters
    revenue: list[Money] | None

    @classmethod
    def of(cls, numbers: Numbers, asked: Asked) -> Self:
        return cls(
            totals=Counters.of(numbers, asked.metrics), revenue=revenue_if_asked(numbers, asked)
        )


@strawberry.type
class Rate:
    """A share, with the interval that holds the true one in 95 of 100 cases: Wilson's score
    interval (E. B. Wilson, JASA 22 (1927), 209-212)."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, hits: int, trials: int) -> Self | None:
        found = rates.rate(hits, trials)
        return cls(value=found.value, low=found.low, high=found.high) if found else None


@strawberry.type
class Performance:
    """What claims achieved: how many were clicked of those shown, how many clicks led to an order
    within a day, and what these orders brought. A rate is null where there was nothing to count."""

    counters: Counters
    click_rate: Rate | None = strawberry.field(description="clicked / shown")
    conversion_rate: Rate | None = strawberry.field(description="converted / clicked")
    revenue: list[Money] = strawberry.field(description="By currency.")

    @classmethod
    def of(cls, numbers: Numbers) -> Self:
        shown, clicked, converted = (numbers.get(it, 0) for it in ("shown", "clicked", "converted"))
        return cls(
            counters=Counters.of(numbers),
            click_rate=Rate.of(clicked, shown),
            conversion_rate=Rate.of(converted, clicked),
            revenue=revenue_of(numbers),
        )


@strawberry.type
class PageNumbers:
    """A page of the shop, and what happened on it."""

    page: str
    performance: Performance


@strawberry.type
class ComparisonArm:
    """Visitors to compare with: how many were there to be won, and how many ordered anyway."""

    exposed: BigInt
    converted: BigInt
    conversion_rate: Rate | None = strawberry.field(description="converted / exposed")
    revenue: list[Money] = strawberry.field(description="By currency.")


@strawberry.type
class Funnel:
    """From a claim that is shown to an order, and what is to be set against it."""

    shown: BigInt
    clicked: BigInt
    converted: BigInt
    click_rate: Rate | None = strawberry.field(description="clicked / shown")
    conversion_rate: Rate | None = strawberry.field(description="converted / clicked")
    revenue: list[Money] = strawberry.field(description="Of orders after a click, by currency.")
    seen_only: ComparisonArm = strawberry.field(
        description="Orders of visitors who saw claims and clicked none; exposed are the showings "
        "without a click."
    )
    held_out: ComparisonArm = strawberry.field(
        description="Orders of visitors from whom claims were withheld; exposed are the withheld."
    )

    @classmethod
    def of(cls, numbers: Numbers) -> Self:
        shown, clicked, converted = (numbers.get(it, 0) for it in ("shown", "clicked", "converted"))
        return cls(
            shown=BigInt(shown),
            clicked=BigInt(clicked),
            converted=BigInt(converted),
            click_rate=Rate.of(clicked, shown),
            conversion_rate=Rate.of(converted, clicked),
            revenue=revenue_of(numbers),
            seen_only=_arm(numbers, max(0, shown - clicked), "shown"),
            held_out=_arm(numbers, numbers.get("withheld", 0), "held_out"),
        )


def _arm(numbers: Numbers, exposed: int, arm: str) -> ComparisonArm:
    converted = numbers.get(f"converted_{arm}", 0)
    return ComparisonArm(
        exposed=BigInt(exposed),
        converted=BigInt(converted),
        conversion_rate=Rate.of(converted, exposed),
        revenue=revenue_of(numbers, f"revenue_{arm}"),
    )
