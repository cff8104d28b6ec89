"""Rates and how sure they are."""

from math import sqrt
from typing import NamedTuple

Z_95 = 1.959964
"""The two-sided 95 % quantile of the normal distribution."""


class Rate(NamedTuple):
    """A share, and the interval that holds the true one in 95 of 100 cases."""

    value: float
    low: float
    high: float


def rate(hits: int, trials: int) -> Rate | None:
    """The share of trials that hit, with Wilson's score interval; None without trials.

    E. B. Wilson, Probable inference, the law of succession, and statistical inference, Journal of
    the American Statistical Association 22 (1927), 209-212. Unlike the usual one it is honest for
    few trials and shares near 0 (Brown, Cai and DasGupta, Interval estimation for a binomial
    proportion, Statistical Science 16 (2001), 101-133).

    A claim may be clicked whose showing was never reported: hits beyond the trials are not counted.

    >>> [round(it, 4) for it in rate(1, 10)]
    [0.1, 0.0179, 0.4042]
    """
    if trials <= 0:
        return None
    share = min(max(hits, 0), trials) / trials
    weight = Z_95**2 / trials
    centre = (share + weight / 2) / (1 + weight)
    reach = sqrt(share * (1 - share) * weight + weight**2 / 4) / (1 + weight)
    return Rate(share, max(0.0, centre - reach), min(1.0, centre + reach))
