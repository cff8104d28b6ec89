"""The interface of the event streams: append, consume as a group, acknowledge, dead-letter.

    streams = event_streams.streams()
    await streams.append("events", [Record(key=site_id, id=event_id, body=b"…")])
    consumer = streams.consumer("events", group="ledger")
    entries = await consumer.read(limit=500, wait=1.0)
    ...
    await consumer.ack(entries)

Guarantees:
- A record is on disk when `append` returns.
- A topic has `PARTITIONS` partitions. All records of one key are in one partition.
- A group receives every entry at least once. Entries of one key arrive in order, after a crash too.
- The live members of a group share the partitions; one member at a time reads a partition.
- A member that takes a partition over first receives the entries that were delivered and not
  acknowledged.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple, Protocol
from zlib import crc32

import msgspec

PARTITIONS = 16
"""Partitions of a topic, and so the maximum number of working members of a group. The mapping of
keys to partitions depends on it: after a change, new records of a key would overtake old ones."""

MAX_DELIVERIES = 10
"""Deliveries without acknowledgement after which an entry is dead-lettered: such an entry probably
crashes its consumers."""

SUSPECT_DELIVERIES = 3
"""Deliveries without acknowledgement after which an entry is suspect: it may have crashed its
consumers, so it is delivered by itself."""


DEAD_LETTERED = "entry_dead_lettered"
"""The log line of every engine, which alerts match."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """A record to append. Records with the same `key` keep their order."""

    key: str
    id: str
    """Unique among the records of one key; `append_once` deduplicates by it."""
    body: bytes


class Entry(NamedTuple):
    """A record as a consumer receives it.

    `id` is the partition and the offset in it. `deliveries` counts this delivery.
    """

    id: str
    body: bytes
    deliveries: int


class Lag(NamedTuple):
    """How far a group is behind the end of a topic."""

    waiting: int
    """Entries not yet delivered to a consumer."""
    pending: int
    """Entries delivered and not yet acknowledged."""
    oldest_pending: str | None
    dead_letter_count: int
    """Entries among the topic's dead letters."""
    age: float = 0.0
    """Seconds since the oldest unacknowledged entry was appended; 0 if there is none."""


class DeadLetter(NamedTuple):
    """A dead-lettered entry. `id` is its position among the dead letters."""

    id: str
    body: bytes
    entry_id: str
    reason: str
    detail: str


class Consumer(Protocol):
    """One member of a group."""

    async def read(self, *, limit: int, wait: float) -> list[Entry]:
        """Returns the next entries of this member's partitions; [] if `wait` seconds bring none.

        Entries that another member left unacknowledged come first. A second `read` continues after
        the entries in flight. An entry past `SUSPECT_DELIVERIES` is delivered only while nothing
        else is in flight, and nothing else until it is acknowledged. An entry past
        `MAX_DELIVERIES` is dead-lettered instead.
        """

    async def ack(self, entries: Sequence[Entry], dropped: Mapping[str, str] | None = None) -> None:
        """Acknowledges entries, so that they are not delivered again.

        Args:
            dropped: reason for which an entry had no effect, by entry ID. The drop counter rises
                with the acknowledgement, so an entry acknowledged twice counts once.
        """

    async def dead_letter(self, entry: Entry, reason: str, detail: str) -> None:
        """Moves an entry to the topic's dead letters, where it stays until an operator acts."""

    async def trim(self) -> None:
        """Deletes the entries that every group has acknowledged."""

    async def leave(self) -> None:
        """Leaves the group, so that other members take the partitions over at once."""


class Streams(Protocol):
    """A store of topics.

    Attributes:
        appends_at_once: number of appends that may be under way at the same time and still be
            written in the order of their calls.
    """

    appends_at_once: int

    async def append(self, topic: str, records: Sequence[Record]) -> None:
        """Appends records; they are durable when this returns.

        The records of one key are appended all or none.
        """

    async def append_once(self, topic: str, records: Sequence[Record]) -> list[bool]:
        """Appends the records whose ID is new; returns for each record whether it was new."""

    def consumer(self, topic: str, group: str) -> Consumer:
        """Returns a new member of the group."""

    async def lags(self, topic: str, group: str) -> list[Lag]:
        """Returns the group's lag by partition."""

    async def lag(self, topic: str, group: str) -> Lag:
        """Returns the group's lag over all partitions."""

    async def drops(self, topic: str) -> dict[str, int]:
        """Returns how many entries had no effect, by reason."""

    async def dead_letters(self, topic: str, limit: int) -> list[DeadLetter]:
        """Returns at most `limit` dead letters, by partition, the oldest of each first."""

    async def replay(self, topic: str, letters: Sequence[DeadLetter]) -> int:
        """Appends dead letters to their partitions again; returns how many still existed."""

    async def delete_dead_letters(self, topic: str, *, before: datetime) -> None:
        """Deletes the entries that were dead-lettered before a time."""

    async def ping(self) -> None:
        """Returns once the store has answered; raises the driver's error if it does not."""

    async def close(self) -> None:
        """Closes the connections to the store."""


@lru_cache(maxsize=50_000)
def partition_of(key: str) -> int:
    """Returns the partition that holds a key's records."""
    return crc32(key.encode()) % PARTITIONS


def total(lags: Sequence[Lag]) -> Lag:
    """Returns the lag over all partitions, given each partition's."""
    oldest = [lag.oldest_pending for lag in lags if lag.oldest_pending]
    return Lag(
        waiting=sum(lag.waiting for lag in lags),
        pending=sum(lag.pending for lag in lags),
        oldest_pending=min(oldest, key=_offset, default=None),
        dead_letter_count=sum(lag.dead_letter_count for lag in lags),
        age=max((lag.age for lag in lags), default=0.0),
    )


def _offset(entry_id: str) -> list[int]:
    """Returns the sort key of an entry ID: its offset without its partition.

    On Redis the offset begins with the time of the append.
    """
    return [int(part) for part in entry_id.partition(":")[2].split("-")]
