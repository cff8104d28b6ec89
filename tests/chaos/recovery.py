"""How long a fault is felt: until the next thing sent has had its effect, on every path."""

import asyncio
import time
from collections.abc import Iterator, Sequence

from tests.chaos.tenants import Tenant
from tests.chaos.traces import ORDERS, PAGE_VIEWS, Trace, Traces, by_site
from tests.chaos.watch import Watch

_LOOK_SECONDS = 0.05


class Recovery:
    """Measures at every shop: an event in PostgreSQL, one in ClickHouse, an order's claim at the
    follower; and a query to the graph."""

    def __init__(self, traces: Traces, tenants: Sequence[Tenant], watch: Watch) -> None:
        self._traces = traces
        self._sites = [tenant.shop.site_id for tenant in tenants]
        self._watch = watch

    async def wait(self, since: float, *, patience: float) -> dict[str, float]:
        """Seconds from a moment to the next effect of each path; infinite where none came."""
        deadline = time.monotonic() + patience
        while True:
            firsts = {path: first - since for path, first in self._firsts(since).items()}
            if max(firsts.values()) < float("inf") or time.monotonic() > deadline:
                return firsts
            await asyncio.sleep(_LOOK_SECONDS)

    def _firsts(self, since: float) -> dict[str, float]:
        sent = by_site(_sent_after(self._traces.all, since))
        answers = (answered for asked, answered in self._watch.answered if asked >= since)
        return {
            "event": self._latest(sent, PAGE_VIEWS, "stored"),
            "count": self._latest(sent, ORDERS, "counted"),
            "claim": self._latest(sent, ORDERS, "claimed"),
            "graph": min(answers, default=float("inf")),
        }

    def _latest(self, sent: dict[str, list[Trace]], metric: str, effect: str) -> float:
        """When the last of the shops had its first effect."""
        return max(
            min(_effects(sent.get(site, ()), metric, effect), default=float("inf"))
            for site in self._sites
        )


def _effects(traces: Sequence[Trace], metric: str, effect: str) -> Iterator[float]:
    for trace in traces:
        seen = getattr(trace, effect)
        if trace.metric == metric and seen is not None:
            yield seen


def _sent_after(traces: Sequence[Trace], since: float) -> Iterator[Trace]:
    for trace in reversed(traces):
        if trace.sent < since:
            return
        yield trace
