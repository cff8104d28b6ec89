"""The events that a run sends, and when each effect of them was observed.

Orders are events too. All times are seconds of the monotonic clock.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

ORDERS, PAGE_VIEWS = "orders", "page_views"


@dataclass
class SentEvent:
    """One event, its acknowledgement and its effects in the stores.

    Attributes:
        key: the order's number in its shop, or the visitor event's id.
        metric: the metric that counts the event.
        event_id: id of the event in the ledger; an order's is known once it is stored.
        stored_at: when it was observed in PostgreSQL.
        counted_at: when it was observed in ClickHouse.
        claimed_at: when a subscriber received the order's claim; orders only.
    """

    site_id: str
    key: str
    metric: str
    sent_at: float
    event_id: str | None = None
    acknowledged_at: float | None = None
    stored_at: float | None = None
    counted_at: float | None = None
    claimed_at: float | None = None

    @property
    def is_complete(self) -> bool:
        """Whether every effect was observed."""
        is_recorded = self.stored_at is not None and self.counted_at is not None
        return is_recorded and (self.metric != ORDERS or self.claimed_at is not None)

    @property
    def effect_seconds(self) -> float | None:
        """Seconds from the acknowledgement to the last effect; None while one is missing."""
        if self.acknowledged_at is None or not self.is_complete:
            return None
        last = max(self.stored_at or 0, self.counted_at or 0, self.claimed_at or 0)
        return last - self.acknowledged_at


@dataclass
class SentEvents:
    """All events of a run, in the order in which they were made."""

    all: list[SentEvent] = field(default_factory=list)
    rejections: list[str] = field(default_factory=list)
    """Responses of the ingest endpoint and the webhook receiver that refuse an event for good."""
    _pending: dict[str, SentEvent] = field(default_factory=dict)

    def add(self, event: SentEvent) -> SentEvent:
        self.all.append(event)
        return event

    def acknowledge(self, event: SentEvent, now: float) -> None:
        event.acknowledged_at = now
        self._pending[f"{event.site_id} {event.metric} {event.key}"] = event

    def pending(self) -> list[SentEvent]:
        """The acknowledged events that still lack an effect."""
        complete = [name for name, event in self._pending.items() if event.is_complete]
        for name in complete:
            del self._pending[name]
        return list(self._pending.values())

    @property
    def acknowledged(self) -> Iterator[SentEvent]:
        return (event for event in self.all if event.acknowledged_at is not None)


def by_site(events: Iterable[SentEvent]) -> dict[str, list[SentEvent]]:
    found: dict[str, list[SentEvent]] = defaultdict(list)
    for event in events:
        found[event.site_id].append(event)
    return found
