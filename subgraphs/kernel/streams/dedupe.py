"""Dedupe keys: `append_once` uses them to recognise IDs that were appended before.

A dedupe key is a 14-byte hash of a record's key and ID. Redis keeps the dedupe keys in one set per
partition and time window. With Valkey's 2 bytes of overhead, 14 bytes fill its second smallest
allocation exactly. Including the set's table, one ID costs some 40 bytes, whatever its length:
1,000 IDs a second for a day take 3.5 GB. With 180 million IDs (2,000 a second for a day), the
probability that two of them share the 112 bits is 10^-17.
"""

import time
from datetime import timedelta
from functools import lru_cache
from hashlib import blake2b

from subgraphs.kernel.streams.interface import Record

REMEMBERED = timedelta(hours=25)
"""Minimum time for which an ID is recognised. The ingest endpoint and the webhook receiver refuse
events older than a day."""

_WINDOW_SECONDS = REMEMBERED.total_seconds() / 5
"""Length of one window, and so the longest time an ID is kept beyond `REMEMBERED`. Shorter windows
mean more sets to search for every ID; longer windows keep more IDs than needed."""

_WINDOWS_BACK = round(REMEMBERED.total_seconds() / _WINDOW_SECONDS)

KEPT_SECONDS = round(REMEMBERED.total_seconds())
"""Lifetime of a set after the last dedupe key was added to it."""

_KEY_BYTES = 14


def dedupe_key(record: Record) -> bytes:
    """Returns the hash that identifies a record's ID under its key."""
    return blake2b(f"{record.key}\0{record.id}".encode(), digest_size=_KEY_BYTES).digest()


def key_sets(stream: str, now: float | None = None) -> list[str]:
    """Returns the names of the sets to search, the current window's first.

    The next window's set is included because the clocks of other machines may be ahead.
    """
    return _sets(stream, int((time.time() if now is None else now) // _WINDOW_SECONDS))


@lru_cache(maxsize=256)
def _sets(stream: str, window: int) -> list[str]:
    others = [window + 1, *range(window - 1, window - 1 - _WINDOWS_BACK, -1)]
    return [f"{stream}:once:{number}" for number in [window, *others]]
