"""When each order passed each station, and what that comes to."""

from dataclasses import dataclass
from statistics import quantiles

from rich.table import Table

STATIONS = ("published", "seen", "shown", "counted")
_TITLES = {
    "published": "published",
    "seen": "seen by the subscriber",
    "shown": "shown in the browser",
    "counted": "counted in ClickHouse",
}


@dataclass
class Passage:
    """One order's way; moments in seconds since 1970."""

    order: str
    text: str
    accepted: float
    published: float
    seen: float
    shown: float
    counted: float

    def after(self, station: str) -> float:
        """Milliseconds from accepted to a station."""
        return (float(getattr(self, station)) - self.accepted) * 1000


def as_table(passages: list[Passage]) -> Table:
    """One line an order, in milliseconds after it was accepted."""
    table = Table(title="Milliseconds after the webhook was accepted (its 200 arrived)")
    table.add_column("order")
    table.add_column("claim", max_width=44, no_wrap=True)
    for station in STATIONS:
        table.add_column(_TITLES[station], justify="right")
    for passage in passages:
        figures = (f"{passage.after(station):.0f}" for station in STATIONS)
        table.add_row(passage.order, passage.text, *figures)
    for name, percent in (("p50", 50), ("p95", 95)):
        figures = (f"{percentile(passages, station, percent):.0f}" for station in STATIONS)
        table.add_row(name, "", *figures, style="bold")
    return table


def percentile(passages: list[Passage], station: str, percent: int) -> float:
    """Milliseconds from accepted to a station that `percent` of the orders stayed within."""
    values = [passage.after(station) for passage in passages]
    return quantiles(values, n=100, method="inclusive")[percent - 1]
