"""How much a site may send: a token bucket for each."""

import math
from typing import NamedTuple
from uuid import UUID

from subgraphs.analytics.ingest.event_parsing import MAX_EVENTS

BURST_SECONDS = 10
"""A bucket holds what the plan allows in this time: a page of a flash sale opens all at once."""

_MOST_BUCKETS = 10_000
"""When there are more, the full ones go: they are as good as new."""


class Excess(NamedTuple):
    """More than there was room for."""

    limit: int
    """Events a second."""
    remaining: int
    """Events that would still be taken now."""
    wait: int
    """Whole seconds until as many would be taken."""


class Bucket:
    """The tokens of one site, one an event."""

    __slots__ = ("_at", "_capacity", "_rate", "_tokens")

    def __init__(self, rate: int, now: float) -> None:
        self._rate = rate
        self._capacity = max(rate * BURST_SECONDS, MAX_EVENTS)
        self._tokens = float(self._capacity)
        self._at = now

    def take(self, events: int, now: float) -> Excess | None:
        """Take tokens for all these events, or none and say what is wrong."""
        tokens = self._tokens + (now - self._at) * self._rate
        self._tokens = tokens = min(tokens, self._capacity)
        self._at = now
        if events <= tokens:
            self._tokens = tokens - events
            return None
        wait = math.ceil((events - tokens) / self._rate) if self._rate else BURST_SECONDS
        return Excess(self._rate, int(tokens), wait)

    def give_back(self, events: int) -> None:
        """Of a request that was not taken after all."""
        self._tokens = min(self._tokens + events, self._capacity)

    def set_rate(self, rate: int) -> None:
        """Have a new plan's limit hold from now on."""
        if rate != self._rate:
            self._rate = rate
            self._capacity = max(rate * BURST_SECONDS, MAX_EVENTS)

    def is_full(self, now: float) -> bool:
        return self._tokens + (now - self._at) * self._rate >= self._capacity


class Buckets:
    """The buckets of all sites that sent lately."""

    def __init__(self) -> None:
        self._buckets: dict[UUID, Bucket] = {}

    def of(self, site_id: UUID, rate: int, now: float) -> Bucket:
        """A site's bucket, at the rate of its plan today."""
        bucket = self._buckets.get(site_id)
        if bucket is None:
            if len(self._buckets) >= _MOST_BUCKETS:
                self._drop_full(now)
            bucket = self._buckets[site_id] = Bucket(rate, now)
        bucket.set_rate(rate)
        return bucket

    def _drop_full(self, now: float) -> None:
        self._buckets = {id_: it for id_, it in self._buckets.items() if not it.is_full(now)}
