"""Measures the recovery time of each path: until an event sent after a fault has its effect."""

import asyncio
import time
from collections.abc import Iterator, Sequence

from tests.chaos.observers import EffectObserver
from tests.chaos.sent_events import ORDERS, PAGE_VIEWS, SentEvent, SentEvents, by_site
from tests.chaos.tenants import Tenant

_POLL_SECONDS = 0.05


class RecoveryMeter:
    """Measures four paths.

    At every shop: an event in PostgreSQL, an order in ClickHouse, and an order's claim at the
    subscriber. At the public port: a response of the GraphQL API.
    """

    def __init__(
        self, sent: SentEvents, tenants: Sequence[Tenant], observer: EffectObserver
    ) -> None:
        self._sent = sent
        self._sites = [tenant.shop.site_id for tenant in tenants]
        self._observer = observer

    async def measure(self, since: float, *, max_seconds: float) -> dict[str, float]:
        """Seconds from a moment to the next effect of each path; infinite after `max_seconds`."""
        deadline = time.monotonic() + max_seconds
        while True:
            seconds = {path: at - since for path, at in self._first_effects(since).items()}
            if max(seconds.values()) < float("inf") or time.monotonic() > deadline:
                return seconds
            await asyncio.sleep(_POLL_SECONDS)

    def _first_effects(self, since: float) -> dict[str, float]:
        events = by_site(_sent_after(self._sent.all, since))
        responses = (
            received_at
            for requested_at, received_at in self._observer.graphql_responses
            if requested_at >= since
        )
        return {
            "event": self._slowest_site(events, PAGE_VIEWS, "stored_at"),
            "count": self._slowest_site(events, ORDERS, "counted_at"),
            "claim": self._slowest_site(events, ORDERS, "claimed_at"),
            "graphql": min(responses, default=float("inf")),
        }

    def _slowest_site(self, events: dict[str, list[SentEvent]], metric: str, effect: str) -> float:
        """The time by which every shop had its first effect."""
        return max(
            min(_effects(events.get(site, ()), metric, effect), default=float("inf"))
            for site in self._sites
        )


def _effects(events: Sequence[SentEvent], metric: str, effect: str) -> Iterator[float]:
    for event in events:
        observed_at = getattr(event, effect)
        if event.metric == metric and observed_at is not None:
            yield observed_at


def _sent_after(events: Sequence[SentEvent], since: float) -> Iterator[SentEvent]:
    for event in reversed(events):
        if event.sent_at < since:
            return
        yield event
