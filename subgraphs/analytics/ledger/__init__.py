"""The ledger in PostgreSQL: `events`, `notification_events`, their counters, visitor profiles.

rows             a notification event, and the key of a row
insert           adds a batch's rows once
lookup           reads the stored rows of given keys
counting         counts new rows by site and metric
visitor_journal  new events of visitors, until they are folded into the profiles
profiles         folds the journal into `visitor_profiles`, and deletes old profiles
copy_rows        COPY within a session's transaction

The stream worker writes through these functions. Resolvers read through `counters` and SQL views.
"""

from subgraphs.analytics.ledger.counting import CountableEvent, Counted, count, counters
from subgraphs.analytics.ledger.insert import (
    MIN_COPY_ROWS,
    add_events,
    add_notification_events,
)
from subgraphs.analytics.ledger.lookup import stored_events, stored_notification_events
from subgraphs.analytics.ledger.rows import Key, NotificationEvent, key_of

__all__ = [
    "MIN_COPY_ROWS",
    "CountableEvent",
    "Counted",
    "Key",
    "NotificationEvent",
    "add_events",
    "add_notification_events",
    "count",
    "counters",
    "key_of",
    "stored_events",
    "stored_notification_events",
]
