"""The times at which each order reached each stop, and their percentiles, as lines of text."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from statistics import quantiles

STOPS = ("published", "seen", "shown", "counted")

EXPLANATION = """\
accepted: the webhook receiver answered 200. The other columns are milliseconds after that: the
claim was published, seen by the demo subscriber, shown in the demo visitor's browser, counted in
ClickHouse."""


@dataclass
class OrderTimes:
    """When one order reached each stop, in seconds since 1970."""

    text: str
    accepted: float
    published: float
    seen: float
    shown: float
    counted: float

    def after(self, stop: str) -> float:
        """Milliseconds from `accepted` to a stop."""
        return (float(getattr(self, stop)) - self.accepted) * 1000


def heading() -> str:
    """The names of the columns."""
    return _line("accepted", STOPS, "claim")


def line(times: OrderTimes) -> str:
    """The times of one order."""
    accepted = datetime.fromtimestamp(times.accepted).astimezone()
    figures = (f"{times.after(stop):.0f}" for stop in STOPS)
    return _line(f"{accepted:%H:%M:%S}.{accepted.microsecond // 1000:03}", figures, times.text)


def summary(orders: list[OrderTimes]) -> list[str]:
    """The median and the 95th percentile of each stop; needs two orders."""
    return [
        _line(name, (f"{_percentile(orders, stop, percent):.0f}" for stop in STOPS), "")
        for name, percent in (("p50", 50), ("p95", 95))
    ]


def _line(first: str, figures: Iterable[str], last: str) -> str:
    return f"{first:<13}{''.join(f'{figure:>10}' for figure in figures)}  {last}".rstrip()


def _percentile(orders: list[OrderTimes], stop: str, percent: int) -> float:
    values = [times.after(stop) for times in orders]
    return quantiles(values, n=100, method="inclusive")[percent - 1]
