"""The partitions assigned to one member: their entries in flight and their delivery attempts.

Kafka keeps one offset per partition and does not count deliveries. So the metadata of a commit
records how often the entry at the committed offset, the head, was delivered without progress. It is
written before a partition's first entries are delivered, and cleared by any progress. A crash
therefore counts for the head alone, and the first crash after progress does not count. An entry
that crashes its consumers becomes the head, is delivered by itself from then on, and is
dead-lettered in the end, as on Redis.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from aiokafka import TopicPartition

from subgraphs.kernel.streams.interface import SUSPECT_DELIVERIES, Entry

Fetched = Mapping[TopicPartition, list[Any]]
"""aiokafka's records by partition."""

Commits = Mapping[int, tuple[int, str]]
"""Offset and metadata to commit, by partition."""


class Assignment:
    """Book-keeping without I/O.

    Attributes:
        partitions: the assigned partitions.
        generation: rises with each rebalance, to detect one during a fetch.
        is_complete: set while the partitions are assigned.
        is_drained: set when no entry is in flight any more; its waiters clear it.
    """

    def __init__(self) -> None:
        self.partitions: set[int] = set()
        self.generation = 0
        self.is_complete = asyncio.Event()
        self.is_drained = asyncio.Event()
        self._in_flight: dict[int, dict[int, Any]] = {}
        """Records by partition and offset."""
        self._next: dict[int, int] = {}
        """The offset after the last delivered entry, by partition."""
        self._attempts: dict[int, int] = {}
        """Recorded deliveries of the head, by partition."""
        self._unrecorded: set[int] = set()
        """Partitions whose head's next delivery is not recorded yet."""

    def assign(self, parts: Iterable[int], committed: Mapping[int, Any]) -> None:
        """Starts with these partitions and the group's commits."""
        self.partitions = set(parts)
        self._unrecorded = set(self.partitions)
        self._attempts = {
            part: int(committed[part].metadata or 0) if part in committed else 0
            for part in self.partitions
        }
        self.generation += 1
        self.is_complete.set()

    def suspend(self) -> None:
        """Stops deliveries: a rebalance has begun."""
        self.is_complete.clear()
        self.generation += 1

    def clear(self) -> Commits:
        """Forgets the partitions; returns the commits that record the heads' deliveries."""
        self.suspend()
        commits = {
            part: (min(records), str(self._attempts.get(part, 0) + 1))
            for part, records in self._in_flight.items()
            if records
        }
        self._in_flight.clear()
        self.partitions = set()
        return commits

    def in_flight(self, part: int) -> Mapping[int, Any]:
        """Returns a partition's delivered and unacknowledged records by offset."""
        return self._in_flight.get(part, {})

    def has_in_flight(self) -> bool:
        return any(self._in_flight.values())

    def suspects(self) -> list[int]:
        """Returns the partitions whose head may have crashed its consumers."""
        return [part for part in self._unrecorded if self._attempts[part] >= SUSPECT_DELIVERIES]

    def deliver(self, fetched: Fetched) -> list[Entry]:
        """Puts records in flight and returns their entries."""
        entries = []
        for tp, records in fetched.items():
            in_flight = self._in_flight.setdefault(tp.partition, {})
            deliveries = self._attempts.get(tp.partition, 0) + 1
            for record in records:
                in_flight[record.offset] = record
                entries.append(Entry(_entry_id(record), record.value, deliveries))
        return entries

    def undeliver(self, fetched: Fetched) -> None:
        """Takes records out of flight that the caller of `read` will not receive."""
        for tp, records in fetched.items():
            for record in records:
                self._in_flight.get(tp.partition, {}).pop(record.offset, None)
            self._unrecorded.add(tp.partition)

    def unrecorded_heads(self, parts: Iterable[int]) -> Commits:
        """Returns the commits that record the delivery of these partitions' heads."""
        return {
            part: (min(self._in_flight[part]), str(self._attempts.get(part, 0) + 1))
            for part in parts
            if part in self._unrecorded
        }

    def delivered(self, fetched: Fetched) -> None:
        """Notes that the heads are recorded and the caller of `read` receives the records."""
        for tp, records in fetched.items():
            self._unrecorded.discard(tp.partition)
            self._next[tp.partition] = records[-1].offset + 1

    def acknowledge(self, part: int, offset: int) -> bool:
        """Takes an entry out of flight; returns whether it was in flight."""
        return self._in_flight.get(part, {}).pop(offset, None) is not None

    def progress(self, parts: Collection[int]) -> Commits:
        """Returns the commits after acknowledgements in these partitions."""
        commits = {}
        for part in parts:
            self._attempts[part] = 0
            commits[part] = (min(self._in_flight[part], default=self._next[part]), "")
        if not self.has_in_flight():
            self.is_drained.set()
        return commits


def offset_of(entry: Entry) -> tuple[int, int]:
    """Returns an entry's partition and offset."""
    part, _, offset = entry.id.partition(":")
    return int(part), int(offset)


def _entry_id(record: Any) -> str:
    return f"{record.partition:02}:{record.offset}"
