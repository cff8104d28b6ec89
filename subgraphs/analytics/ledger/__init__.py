"""The ledger in PostgreSQL: its rows, how a batch is added once, and its counters."""

from subgraphs.analytics.ledger.ledger import (
    WORTH_A_TRY,
    Countable,
    Counted,
    Key,
    NotificationEvent,
    add_events,
    add_notification_events,
    count,
    counters,
    key_of,
    stored_events,
    stored_notification_events,
)

__all__ = [
    "WORTH_A_TRY",
    "Countable",
    "Counted",
    "NotificationEvent",
    "Key",
    "add_events",
    "add_notification_events",
    "count",
    "counters",
    "key_of",
    "stored_events",
    "stored_notification_events",
]
