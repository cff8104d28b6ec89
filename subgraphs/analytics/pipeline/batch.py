"""A batch of events on its way through the steps, and the outcome of each event."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from subgraphs.analytics.ledger import Counted, NotificationEvent
from subgraphs.kernel.streams.envelope import Event
from subgraphs.kernel.streams.interface import Entry

ORDER_CREATED = "order.created"
PAGE_VIEWED = "page.viewed"
GOAL_REACHED = "goal.reached"

CLAIM_EVENTS = {
    "claim.shown": "shown",
    "claim.clicked": "clicked",
    "claim.dismissed": "dismissed",
    "claim.withheld": "withheld",
}
"""Claim events by their type in the stream; the value is their type in the ledger."""

SOURCE_EVENTS = frozenset(
    {
        ORDER_CREATED,
        "order.refunded",
        "signup.created",
        "review.created",
        "stock.changed",
        PAGE_VIEWED,
        GOAL_REACHED,
    }
)

SNIPPET = "snippet"
"""The source of events that a visitor's page sends; all other sources are shops."""


class Drop(StrEnum):
    """Why an event has no effect."""

    UNDECODABLE = "undecodable"
    UNKNOWN_TYPE = "unknown_type"
    IMPLAUSIBLE_TIME = "implausible_time"
    BOT_NO_AGENT = "bot_no_agent"
    BOT_NOT_A_BROWSER = "bot_not_a_browser"
    BOT_CRAWLER = "bot_crawler"
    BOT_TOO_FAST = "bot_too_fast"
    DUPLICATE = "duplicate"
    UNKNOWN_CLAIM = "unknown_claim"
    PAST_RETENTION = "past_retention"
    ARCHIVED = "archived"


class Claim(NamedTuple):
    """A claim with the fields that the ledger needs, and the message that shows it."""

    id: UUID
    account_id: UUID
    site_id: UUID
    notification_id: UUID
    text: str
    published_at: datetime
    message: dict[str, Any]
    variant_id: UUID | None = None
    is_published: bool = False
    """Whether it was published before; the live channel keeps claim ids for some days only."""


@dataclass(slots=True)
class Item:
    """One entry of the stream and its event."""

    entry: Entry
    event: Event | None = None
    drop: Drop | None = None

    @property
    def live(self) -> Event | None:
        """The event, unless it was dropped."""
        return None if self.drop else self.event


@dataclass
class Batch:
    """Entries that go through the steps together, in the order of the stream."""

    items: list[Item]
    is_read: bool = False
    """Whether the reading steps are done: each item has an event or a drop."""
    made: list[Claim] = field(default_factory=list)
    """The claims made of these events, in the events' order."""
    mentioned: dict[str, Claim] = field(default_factory=dict)
    """The claims that claim events name, by that name."""
    new_events: list[Event] = field(default_factory=list)
    """Source events that are new in the ledger."""
    notification_events: list[NotificationEvent] = field(default_factory=list)
    """The batch's notification events as the ledger stores them."""
    new_notification_events: list[NotificationEvent] = field(default_factory=list)
    """Notification events that are new in the ledger."""
    counters: Sequence[Counted] = ()
    """The ledger's counters of the batch's sites, this batch included."""
    cursors: dict[UUID, str] = field(default_factory=dict)
    """The cursors of the published claims in the live channel, by claim id."""

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> "Batch":
        """A batch of entries that are not decoded yet."""
        return cls([Item(entry) for entry in entries])

    @property
    def events(self) -> list[Event]:
        """The events that were not dropped."""
        return [item.event for item in self.items if item.event and not item.drop]

    @property
    def source_events(self) -> list[Event]:
        """The source events that were not dropped."""
        return [event for event in self.events if event.type not in CLAIM_EVENTS]

    @property
    def claim_names(self) -> set[str]:
        """The names that claim events give their claims; a claim may not exist."""
        return {claim_name_of(event) for event in self.events if event.type in CLAIM_EVENTS}


def claim_name_of(event: Event) -> str:
    """The name of the claim that an event is about; empty if it names none."""
    name = event.payload.get("claimId")
    return name if isinstance(name, str) else ""
