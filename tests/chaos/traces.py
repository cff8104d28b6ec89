"""What was sent, and when each of its effects was seen. Times are seconds of a monotonic clock."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

ORDERS, PAGE_VIEWS = "orders", "page_views"


@dataclass
class Trace:
    """One thing sent until it was acknowledged, and its way through the stores.

    Attributes:
        key: an order's number in its shop; an event's id.
        metric: what it counts as.
        event_id: of the envelope; an order's is read from the ledger.
        stored: seen in PostgreSQL; `counted`: in ClickHouse; `claimed`: its claim at a subscriber.
    """

    site_id: str
    key: str
    metric: str
    sent: float
    event_id: str | None = None
    acknowledged: float | None = None
    stored: float | None = None
    counted: float | None = None
    claimed: float | None = None

    @property
    def is_done(self) -> bool:
        """Whether every effect was seen."""
        seen = self.stored is not None and self.counted is not None
        return seen and (self.metric != ORDERS or self.claimed is not None)

    @property
    def took(self) -> float | None:
        """Seconds from the acknowledgement to the last effect."""
        if self.acknowledged is None or not self.is_done:
            return None
        last = max(self.stored or 0, self.counted or 0, self.claimed or 0)
        return last - self.acknowledged


@dataclass
class Traces:
    """All that was sent."""

    all: list[Trace] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """What a door said no to for good."""
    _open: dict[str, Trace] = field(default_factory=dict)

    def add(self, trace: Trace) -> Trace:
        self.all.append(trace)
        return trace

    def acknowledge(self, trace: Trace, now: float) -> None:
        trace.acknowledged = now
        self._open[f"{trace.site_id} {trace.metric} {trace.key}"] = trace

    def waiting(self) -> list[Trace]:
        """Acknowledged, and not all of its effects seen."""
        done = [name for name, trace in self._open.items() if trace.is_done]
        for name in done:
            del self._open[name]
        return list(self._open.values())

    @property
    def acknowledged(self) -> Iterator[Trace]:
        return (trace for trace in self.all if trace.acknowledged is not None)


def by_site(traces: Iterable[Trace]) -> dict[str, list[Trace]]:
    found: dict[str, list[Trace]] = defaultdict(list)
    for trace in traces:
        found[trace.site_id].append(trace)
    return found
