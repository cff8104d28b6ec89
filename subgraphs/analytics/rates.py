"""Rates with their confidence intervals."""

from math import sqrt
from typing import NamedTuple

Z_95 = 1.959964
"""The two-sided 95 % quantile of the normal distribution."""


class Rate(NamedTuple):
    """A proportion, and the bounds of its 95 % confidence interval."""

    value: float
    low: float
    high: float


def rate(successes: int, trials: int) -> Rate | None:
    """The proportion of successes with its Wilson score interval; None without trials.

    E. B. Wilson, Probable inference, the law of succession, and statistical inference, Journal of
    the American Statistical Association 22 (1927), 209-212. Unlike the normal approximation, it
    covers the true proportion for few trials and for proportions near 0 (Brown, Cai and DasGupta,
    Interval estimation for a binomial proportion, Statistical Science 16 (2001), 101-133).

    A claim can be clicked although its showing was never reported, so successes are limited to the
    number of trials.

    >>> [round(it, 4) for it in rate(1, 10)]
    [0.1, 0.0179, 0.4042]
    """
    if trials <= 0:
        return None
    proportion = min(max(successes, 0), trials) / trials
    weight = Z_95**2 / trials
    centre = (proportion + weight / 2) / (1 + weight)
    margin = sqrt(proportion * (1 - proportion) * weight + weight**2 / 4) / (1 + weight)
    return Rate(proportion, max(0.0, centre - margin), min(1.0, centre + margin))
