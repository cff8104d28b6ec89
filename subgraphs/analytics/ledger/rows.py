"""The rows of the ledger's tables and their key."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from subgraphs.kernel.streams.envelope import Event

Key = tuple[UUID, datetime, UUID, str]
"""Site, time, id and type: identifies a row, here and in ClickHouse."""


class EventRow(NamedTuple):
    """A row of `events`."""

    time: datetime
    id: UUID
    account_id: UUID
    site_id: UUID
    event_type: str
    captured_at: datetime
    source: str
    visitor_id: str | None
    payload: str


class NotificationEvent(NamedTuple):
    """A row of `notification_events`: what happened to a claim."""

    created_at: datetime
    id: UUID
    account_id: UUID
    site_id: UUID
    notification_id: UUID
    claim_id: UUID
    event_type: str
    captured_at: datetime
    visitor_id: str | None = None
    page: str | None = None
    variant_id: UUID | None = None
    device: str | None = None
    country: str | None = None
    arm: str | None = None
    revenue_minor: int | None = None
    currency: str | None = None
    source_event_id: UUID | None = None

    @property
    def key(self) -> Key:
        return self.site_id, self.created_at, self.id, self.event_type

    @property
    def metric(self) -> str:
        """The metric that counts it: a conversion's metric names the arm it is attributed to."""
        return self.event_type if self.arm in (None, "clicked") else f"converted_{self.arm}"


def key_of(event: Event) -> Key:
    """The key of a source event's row."""
    return event.site_id, event.occurred_at, event.id, event.type
