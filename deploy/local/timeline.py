"""When each order passed each station, and what that comes to."""

from dataclasses import dataclass
from datetime import datetime
from statistics import quantiles

from rich import box
from rich.table import Table

STATIONS = ("published", "seen", "shown", "counted")

_CAPTION = """accepted: the webhook's 200 arrived; from there, in milliseconds, until the claim was
published, seen by a subscriber, shown in the browser, counted in ClickHouse"""


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


def as_table(passages: list[Passage]) -> Table:
    """One line an order, then the median and the 95th percentile."""
    table = Table(box=box.SIMPLE, caption=_CAPTION, caption_justify="left")
    table.add_column("accepted")
    for station in STATIONS:
        table.add_column(station, justify="right")
    table.add_column("claim", no_wrap=True)
    for passage in passages:
        accepted = datetime.fromtimestamp(passage.accepted).astimezone()
        figures = (f"{passage.after(station):.0f}" for station in STATIONS)
        table.add_row(f"{accepted:%H:%M:%S}", *figures, passage.text)
    table.add_section()
    for name, percent in (("p50", 50), ("p95", 95)):
        figures = (f"{percentile(passages, station, percent):.0f}" for station in STATIONS)
        table.add_row(name, *figures, "", style="bold")
    return table


def percentile(passages: list[Passage], station: str, percent: int) -> float:
    """Milliseconds from accepted to a station that `percent` of the orders stayed within."""
    values = [passage.after(station) for passage in passages]
    return quantiles(values, n=100, method="inclusive")[percent - 1]
