"""A batch of events on its way through the pipeline, and what has become of each."""

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
"""The source of what a visitor's page says of itself, as against what a shop says."""


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
    """A claim as far as the ledger goes, and the message that shows it."""

    id: UUID
    account_id: UUID
    site_id: UUID
    notification_id: UUID
    text: str
    published_at: datetime
    message: dict[str, Any]
    variant_id: UUID | None = None
    is_published: bool = False
    """Whether it was shown to visitors before; the live channel itself forgets after days."""


@dataclass(slots=True)
class Item:
    """One entry on its way."""

    entry: Entry
    event: Event | None = None
    drop: Drop | None = None

    @property
    def live(self) -> Event | None:
        """The event, unless it was dropped."""
        return None if self.drop else self.event


@dataclass
class Batch:
    """Entries that travel together, in the order of the stream, and what is known of them."""

    items: list[Item]
    is_read: bool = False
    """Whether the items have their events, or the reasons why they have none."""
    made: list[Claim] = field(default_factory=list)
    """The claims these events made, in the events' order."""
    mentioned: dict[str, Claim] = field(default_factory=dict)
    """The claims that claim events speak of, by the names that they call them."""
    new_events: list[Event] = field(default_factory=list)
    """Source events that the ledger did not have before."""
    notification_events: list[NotificationEvent] = field(default_factory=list)
    """What happened to claims, as the ledger has it."""
    new_notification_events: list[NotificationEvent] = field(default_factory=list)
    """Those of them that it did not have before."""
    counters: Sequence[Counted] = ()
    """Of the sites where something happened, as the ledger has them now."""
    cursors: dict[UUID, str] = field(default_factory=dict)
    """The made claims' places in the live channel."""

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> "Batch":
        return cls([Item(entry) for entry in entries])

    @property
    def events(self) -> list[Event]:
        """Those that were not dropped."""
        return [item.event for item in self.items if item.event and not item.drop]

    @property
    def source_events(self) -> list[Event]:
        return [event for event in self.events if event.type not in CLAIM_EVENTS]

    @property
    def claim_names(self) -> set[str]:
        """What claim events call the claims they speak of, whether there are such or not."""
        return {claim_name_of(event) for event in self.events if event.type in CLAIM_EVENTS}


def claim_name_of(event: Event) -> str:
    """What an event calls the claim it speaks of; empty if it does not."""
    name = event.payload.get("claimId")
    return name if isinstance(name, str) else ""
