"""Rate limits: one token bucket per site."""

import math
from typing import NamedTuple
from uuid import UUID

from subgraphs.analytics.ingest.event_parsing import MAX_EVENTS

BURST_SECONDS = 10
"""A bucket holds the tokens of this time: at the start of a flash sale all pages open at once."""

_MAX_BUCKETS = 10_000
"""Full buckets are dropped beyond it: a full bucket equals a new one. A cache that evicts by age
or use would also drop drained buckets, and a limited site would get another burst."""


class Excess(NamedTuple):
    """How far a request exceeds the rate limit."""

    limit: int
    """Events a second."""
    remaining: int
    """Events that would be admitted now."""
    wait: int
    """Whole seconds until the request would be admitted."""


class TokenBucket:
    """The tokens of one site, one per event."""

    __slots__ = ("_at", "_capacity", "_rate", "_tokens")

    def __init__(self, rate: int, now: float) -> None:
        self._rate = rate
        self._capacity = max(rate * BURST_SECONDS, MAX_EVENTS)
        self._tokens = float(self._capacity)
        self._at = now

    def charge(self, events: int, now: float) -> Excess | None:
        """Take one token per event; if there are too few, take none and return the excess."""
        tokens = self._tokens + (now - self._at) * self._rate
        self._tokens = tokens = min(tokens, self._capacity)
        self._at = now
        if events <= tokens:
            self._tokens = tokens - events
            return None
        wait = math.ceil((events - tokens) / self._rate) if self._rate else BURST_SECONDS
        return Excess(self._rate, int(tokens), wait)

    def refund(self, events: int) -> None:
        """Return the tokens of a request that was refused after it was charged."""
        self._tokens = min(self._tokens + events, self._capacity)

    def set_rate(self, rate: int) -> None:
        """Apply the limit of a new plan from now on."""
        if rate != self._rate:
            self._rate = rate
            self._capacity = max(rate * BURST_SECONDS, MAX_EVENTS)

    def is_full(self, now: float) -> bool:
        """Whether no token is missing."""
        return self._tokens + (now - self._at) * self._rate >= self._capacity


class TokenBuckets:
    """The buckets of all sites that sent recently."""

    def __init__(self) -> None:
        self._buckets: dict[UUID, TokenBucket] = {}

    def of(self, site_id: UUID, rate: int, now: float) -> TokenBucket:
        """A site's bucket, with the rate of its current plan."""
        bucket = self._buckets.get(site_id)
        if bucket is None:
            if len(self._buckets) >= _MAX_BUCKETS:
                self._drop_full(now)
            bucket = self._buckets[site_id] = TokenBucket(rate, now)
        bucket.set_rate(rate)
        return bucket

    def _drop_full(self, now: float) -> None:
        self._buckets = {id_: it for id_, it in self._buckets.items() if not it.is_full(now)}
