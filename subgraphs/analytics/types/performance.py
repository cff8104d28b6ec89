"""GraphQL types of what claims achieved: rates, performance and funnel."""

from __future__ import annotations

from typing import Self

import strawberry

from subgraphs.analytics import rates
from subgraphs.analytics.service import Numbers
from subgraphs.analytics.types.metrics import Counters, revenue_of
from subgraphs.kernel.graphql.types import BigInt, Money


@strawberry.type
class Rate:
    """A proportion from 0 to 1 with its 95 % confidence interval, the Wilson score interval
    (E. B. Wilson, JASA 22 (1927), 209-212)."""

    value: float = strawberry.field(description="The observed proportion.")
    low: float = strawberry.field(description="The lower bound of the interval.")
    high: float = strawberry.field(description="The upper bound of the interval.")

    @classmethod
    def of(cls, successes: int, trials: int) -> Self | None:
        rate = rates.rate(successes, trials)
        return cls(value=rate.value, low=rate.low, high=rate.high) if rate else None


@strawberry.type
class Performance:
    """What claims achieved: counts, rates and revenue."""

    counters: Counters
    click_rate: Rate | None = strawberry.field(
        description="clicked / shown; null if no claim was shown."
    )
    conversion_rate: Rate | None = strawberry.field(
        description="converted / clicked; null if no claim was clicked."
    )
    revenue: list[Money] = strawberry.field(
        description="Revenue of conversions after a click, by currency."
    )

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
    """What claims achieved on one page of the shop."""

    page: str = strawberry.field(description="The path of the page.")
    performance: Performance


@strawberry.type
class ComparisonArm:
    """Visitors who clicked no claim, to compare with those who did."""

    exposed: BigInt = strawberry.field(description="The denominator of `conversionRate`.")
    converted: BigInt = strawberry.field(description="Their orders and goals.")
    conversion_rate: Rate | None = strawberry.field(
        description="converted / exposed; null if `exposed` is 0."
    )
    revenue: list[Money] = strawberry.field(
        description="Revenue of these conversions, by currency."
    )


@strawberry.type
class Funnel:
    """From claims shown to conversions, with two groups of visitors to compare with."""

    shown: BigInt = strawberry.field(description="Times that a claim was shown.")
    clicked: BigInt = strawberry.field(description="Times that a claim was clicked.")
    converted: BigInt = strawberry.field(
        description="Orders and goals of visitors who clicked a claim in the 24 hours before."
    )
    click_rate: Rate | None = strawberry.field(
        description="clicked / shown; null if no claim was shown."
    )
    conversion_rate: Rate | None = strawberry.field(
        description="converted / clicked; null if no claim was clicked."
    )
    revenue: list[Money] = strawberry.field(
        description="Revenue of conversions after a click, by currency."
    )
    seen_only: ComparisonArm = strawberry.field(
        description="Visitors who saw claims and clicked none. `exposed` is shown - clicked, at "
        "least 0."
    )
    held_out: ComparisonArm = strawberry.field(
        description="The control group, to whom claims are not shown. `exposed` counts the "
        "withheld claims."
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
            seen_only=_comparison_arm(numbers, max(0, shown - clicked), "shown"),
            held_out=_comparison_arm(numbers, numbers.get("withheld", 0), "held_out"),
        )


def _comparison_arm(numbers: Numbers, exposed: int, arm: str) -> ComparisonArm:
    converted = numbers.get(f"converted_{arm}", 0)
    return ComparisonArm(
        exposed=BigInt(exposed),
        converted=BigInt(converted),
        conversion_rate=Rate.of(converted, exposed),
        revenue=revenue_of(numbers, f"revenue_{arm}"),
    )
