"""When each order passed each station, and what that comes to."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from statistics import quantiles

STATIONS = ("published", "seen", "shown", "counted")

EXPLANATION = """\
accepted: the webhook's 200 arrived. The others, in milliseconds from there: the claim was
published, seen by a subscriber, shown in the browser, counted in ClickHouse."""


@dataclass
class Passage:
    """One order's way; moments in seconds since 1970."""

    text: str
    accepted: float
    published: float
    seen: float
    shown: float
    counted: float

    def after(self, station: str) -> float:
        """Milliseconds from accepted to a station."""
        return (float(getattr(self, station)) - self.accepted) * 1000


def heading() -> str:
    """The columns of the lines that follow."""
    return _line("accepted", STATIONS, "claim")


def line(passage: Passage) -> str:
    """One order."""
    accepted = datetime.fromtimestamp(passage.accepted).astimezone()
    figures = (f"{passage.after(station):.0f}" for station in STATIONS)
    return _line(f"{accepted:%H:%M:%S}.{accepted.microsecond // 1000:03}", figures, passage.text)


def summary(passages: list[Passage]) -> list[str]:
    """The median and the 95th percentile of each station."""
    return [
        _line(name, (f"{_percentile(passages, s, percent):.0f}" for s in STATIONS), "")
        for name, percent in (("p50", 50), ("p95", 95))
    ]


def _line(first: str, figures: Iterable[str], last: str) -> str:
    return f"{first:<13}{''.join(f'{figure:>10}' for figure in figures)}  {last}".rstrip()


def _percentile(passages: list[Passage], station: str, percent: int) -> float:
    values = [passage.after(station) for passage in passages]
    return quantiles(values, n=100, method="inclusive")[percent - 1]
