"""The event stream behind a small interface: append, consume as a group, acknowledge, bury.

    streams = event_streams.streams()
    await streams.append("events", [Record(key=site_id, id=event_id, body=b"…")])
    consumer = streams.consumer("events", group="ledger")
    entries = await consumer.read(limit=500, wait=1.0)
    ...
    await consumer.ack(entries)

What `append` has answered is on disk. A topic has `PARTITIONS` parts, and a key's records are all
in one of them. A group gets every entry at least once, and those of a key in order, after a crash
too: the group's living consumers share the partitions, each partition is read by one of them at a
time, and whoever takes one over is first given what was delivered and never acknowledged.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple, Protocol
from zlib import crc32

import msgspec

PARTITIONS = 16
"""Parts of a topic, and so how many consumers of a group can be at work at once. It is in the
streams' names: another number would send a key's next record past those that still wait."""

MAX_DELIVERIES = 10
"""An entry that was given out this often and never acknowledged kills whoever takes it."""

SUSPECT_DELIVERIES = 3
"""An entry that was given out this often may be what killed its readers: it is given out alone."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """What is appended. Records of one `key` keep their order."""

    key: str
    id: str
    """Unique under its key; `append_once` decides by it."""
    body: bytes


class Entry(NamedTuple):
    """A record as a consumer gets it; `id` is its place in the topic."""

    id: str
    body: bytes
    deliveries: int


class Lag(NamedTuple):
    """How far a group is behind."""

    waiting: int
    """Not yet given to a consumer."""
    pending: int
    """Given, not yet acknowledged."""
    oldest_pending: str | None
    dead_letter_count: int
    """Buried in the topic's dead letters."""
    age: float = 0.0
    """Seconds since the oldest of those that wait or are pending was appended; 0 without any."""


class DeadLetter(NamedTuple):
    """A buried entry; `id` is its place among the dead letters."""

    id: str
    body: bytes
    entry_id: str
    reason: str
    detail: str


class Consumer(Protocol):
    """One member of a group."""

    async def read(self, *, limit: int, wait: float) -> list[Entry]:
        """The next entries of this member's partitions, none after `wait` seconds without any.

        What another was given and did not acknowledge comes first. Who reads on gets what comes
        after that which it has in hand. An entry past `SUSPECT_DELIVERIES` is given out when
        nothing else is in hand, and nothing else until it is done; one past `MAX_DELIVERIES` is
        buried instead.
        """

    async def ack(self, entries: Sequence[Entry], dropped: Mapping[str, str] | None = None) -> None:
        """Have these not given out again.

        Args:
            dropped: why an entry had no effect, by its id; counted with its acknowledgement, so
                that an entry seen twice counts once.
        """

    async def dead_letter(self, entry: Entry, reason: str, detail: str) -> None:
        """Move an entry to the topic's dead letters, where it stays until somebody looks at it."""

    async def trim(self) -> None:
        """Let go of the entries that every group has acknowledged."""

    async def leave(self) -> None:
        """Let the others take over at once."""


class Streams(Protocol):
    """Where topics live.

    Attributes:
        appends_at_once: how many appends may be under way and still be written in the order in
            which they were asked for.
    """

    appends_at_once: int

    async def append(self, topic: str, records: Sequence[Record]) -> None:
        """Append; they are durable when this returns. Those of one key are taken all or none."""

    async def append_once(self, topic: str, records: Sequence[Record]) -> list[bool]:
        """Append those whose id was not seen lately; says which ones were new."""

    def consumer(self, topic: str, group: str) -> Consumer:
        """A new member of the group."""

    async def lags(self, topic: str, group: str) -> list[Lag]:
        """How far the group is behind, by partition."""

    async def lag(self, topic: str, group: str) -> Lag:
        """How far the group is behind, over all partitions."""

    async def drops(self, topic: str) -> dict[str, int]:
        """How many entries had no effect, by reason."""

    async def dead_letters(self, topic: str, limit: int) -> list[DeadLetter]:
        """The oldest ones of each partition, as many as `limit` in all."""

    async def replay(self, topic: str, letters: Sequence[DeadLetter]) -> int:
        """Put dead letters back at their partitions' ends; says how many still lay there."""

    async def delete_dead_letters(self, topic: str, *, before: datetime) -> None:
        """Let go of the dead letters that were buried before a moment."""

    async def ping(self) -> None:
        """Answer if the store does; raises what the driver raises otherwise."""

    async def close(self) -> None:
        """Let go of the store."""


@lru_cache(maxsize=50_000)
def partition_of(key: str) -> int:
    """Where a key's records are."""
    return crc32(key.encode()) % PARTITIONS


def total(lags: Sequence[Lag]) -> Lag:
    """One figure for all partitions."""
    # The partition of an entry stands before its place, and the place begins with its time.
    oldest = [lag.oldest_pending for lag in lags if lag.oldest_pending]
    return Lag(
        waiting=sum(lag.waiting for lag in lags),
        pending=sum(lag.pending for lag in lags),
        oldest_pending=min(oldest, key=_place, default=None),
        dead_letter_count=sum(lag.dead_letter_count for lag in lags),
        age=max((lag.age for lag in lags), default=0.0),
    )


def _place(entry_id: str) -> list[int]:
    return [int(part) for part in entry_id.partition(":")[2].split("-")]
