"""The ledger in PostgreSQL: its rows, how a batch is added once, and its counters."""

from subgraphs.analytics.ledger.ledger import (
    WORTH_A_TRY,
    Countable,
    Counted,
    Happening,
    Key,
    add_events,
    add_happenings,
    count,
    counters,
    key_of,
    stored_events,
    stored_happenings,
)

__all__ = [
    "WORTH_A_TRY",
    "Countable",
    "Counted",
    "Happening",
    "Key",
    "add_events",
    "add_happenings",
    "count",
    "counters",
    "key_of",
    "stored_events",
    "stored_happenings",
]
