"""Which ids were seen lately: what `append_once` decides by.

An id is kept as 14 bytes of a hash of key and id, in a set per partition and window of time. With
Valkey's own two bytes that is exactly its smallest allocation but one; with the set's table an id
costs some 40 bytes, whatever its length: a thousand a second for a day are 3.5 GB. That two ids
share the 112 bits has odds of one in 10^17 with 180 million ids, two thousand a second for a day.
"""

import time
from datetime import timedelta
from functools import lru_cache
from hashlib import blake2b

from subgraphs.kernel.streams.interface import Record

REMEMBERED = timedelta(hours=25)
"""How long an id is known at least; the doors refuse events older than a day."""

_WINDOW = REMEMBERED.total_seconds() / 5
"""Seconds an id may be kept for longer. Shorter windows are more sets to look into for every id,
longer ones keep more of what nobody needs."""

_WINDOWS_BACK = round(REMEMBERED.total_seconds() / _WINDOW)

KEPT_SECONDS = round(REMEMBERED.total_seconds())
"""How long a set is kept after the last id came into it."""

_ID_BYTES = 14


def mark_of(record: Record) -> bytes:
    """The hash that stands for a record's id under its key."""
    return blake2b(f"{record.key}\0{record.id}".encode(), digest_size=_ID_BYTES).digest()


def windows(stream: str, now: float | None = None) -> list[str]:
    """The sets to look into, the one of now first.

    The next one is among them: other machines' clocks may be ahead.
    """
    return _sets(stream, int((time.time() if now is None else now) // _WINDOW))


@lru_cache(maxsize=256)
def _sets(stream: str, window: int) -> list[str]:
    others = [window + 1, *range(window - 1, window - 1 - _WINDOWS_BACK, -1)]
    return [f"{stream}:once:{number}" for number in [window, *others]]
