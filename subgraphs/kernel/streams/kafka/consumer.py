"""One member of a group on Kafka.

Kafka's group protocol assigns the partitions. After `group.SESSION_SECONDS` without a heartbeat,
others take a dead member's partitions over. An acknowledgement commits at once, up to the first
unacknowledged entry: Kafka keeps one offset per partition. Entries that were acknowledged beyond it
are delivered again after a takeover.
"""

import asyncio
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError
from aiokafka.structs import OffsetAndMetadata
from redis.asyncio import Redis

from subgraphs.kernel.retry import retry_while_unavailable
from subgraphs.kernel.streams.interface import DEAD_LETTERED, MAX_DELIVERIES, Entry
from subgraphs.kernel.streams.kafka.assignment import Assignment, Commits, Fetched, offset_of
from subgraphs.kernel.streams.kafka.cluster import Cluster
from subgraphs.kernel.streams.kafka.dead_letters import dead_letter_topic
from subgraphs.kernel.streams.kafka.group import HEARTBEAT_SECONDS, group_client
from subgraphs.kernel.streams.redis.names import drops_of

log = structlog.stdlib.get_logger(__name__)

_DRAIN_SECONDS = 10.0
"""Time for the entries in flight when a partition is revoked; later ones are delivered again."""

_FIRST_ASSIGNMENT_SECONDS = 5.0
_SUSPECT_FETCH_MS = 1000


class KafkaConsumer:
    """A member of a group; implements `interface.Consumer`."""

    def __init__(self, cluster: Cluster, client: Redis, topic: str, group: str) -> None:
        self.topic = topic
        self.group = group
        self._cluster = cluster
        self._client = client
        self._consumer: Any = None
        self._assignment = Assignment()
        self._uncounted_drops: list[tuple[int, str]] = []
        self._reads_suspect = False
        self._suspects_next = False

    @property
    def partitions(self) -> set[int]:
        """The partitions assigned to this member."""
        return set(self._assignment.partitions)

    def in_flight(self, part: int) -> Collection[int]:
        """Returns the offsets of a partition's delivered and unacknowledged entries."""
        return self._assignment.in_flight(part).keys()

    async def read(self, *, limit: int, wait: float) -> list[Entry]:
        if self._consumer is None:
            await self._join()
        if not self._assignment.is_complete.is_set():
            await _wait_for(self._assignment.is_complete, wait)
            return []
        if self._is_blocked():
            await _wait_for(self._assignment.is_drained, wait)
            return []
        return await self._fetch(limit, wait)

    async def ack(self, entries: Sequence[Entry], dropped: Mapping[str, str] | None = None) -> None:
        reasons = dropped or {}
        touched: set[int] = set()
        for entry in entries:
            part, offset = offset_of(entry)
            if self._assignment.acknowledge(part, offset):
                touched.add(part)
                if reason := reasons.get(entry.id):
                    self._uncounted_drops.append((part, reason))
        await self._commit(self._consumer, self._assignment.progress(touched))
        await self._count_drops()

    async def dead_letter(self, entry: Entry, reason: str, detail: str) -> None:
        part, offset = offset_of(entry)
        record = self._assignment.in_flight(part).get(offset)
        if record is None:
            return
        fields = {"id": entry.id, "reason": reason, "detail": detail}
        headers = [(name, value.encode()) for name, value in fields.items()]
        message = {"key": record.key, "value": entry.body, "headers": headers}
        await self._cluster.produce(dead_letter_topic(self.topic), {part: [message]})
        await self.ack([entry], {entry.id: reason})
        log.error(DEAD_LETTERED, topic=self.topic, entry=entry.id, reason=reason, detail=detail)

    async def trim(self) -> None:
        needed: dict[int, int] = {}
        for group in await self._cluster.groups():
            for part, commit in (await self._cluster.committed(self.topic, group)).items():
                needed[part] = min(commit.offset, needed.get(part, commit.offset))
        mine = self._assignment.partitions
        before = {part: offset for part, offset in needed.items() if part in mine and offset}
        if before:
            await self._cluster.delete_before(self.topic, before)

    async def leave(self) -> None:
        if self._consumer is None:
            return
        consumer, self._consumer = self._consumer, None
        await self._commit(consumer, self._assignment.clear())
        await consumer.stop()

    async def on_revoked(self) -> None:
        """Lets the entries in flight be acknowledged, then gives the partitions up."""
        self._assignment.suspend()
        if self._assignment.has_in_flight():
            self._assignment.is_drained.clear()
            await _wait_for(self._assignment.is_drained, _DRAIN_SECONDS)
        if self._consumer is not None:
            await self._commit(self._consumer, self._assignment.clear())

    async def on_assigned(self, parts: Iterable[int]) -> None:
        """Starts with newly assigned partitions."""
        # aiokafka ignores an error of its listener; this member would then never read.
        find = partial(self._cluster.committed, self.topic, self.group)
        committed = await retry_while_unavailable("assignment", find)
        self._assignment.assign(parts, committed)

    async def _join(self) -> None:
        await self._cluster.create_topic(self.topic)
        self._consumer = group_client(
            self._cluster.servers,
            self.topic,
            self.group,
            on_revoked=self.on_revoked,
            on_assigned=self.on_assigned,
        )
        try:
            await self._consumer.start()
        except BaseException:
            consumer, self._consumer = self._consumer, None
            await consumer.stop()
            raise
        await _wait_for(self._assignment.is_complete, _FIRST_ASSIGNMENT_SECONDS)

    def _is_blocked(self) -> bool:
        """Whether a suspect entry requires that the entries in flight are acknowledged first."""
        if not self._assignment.has_in_flight():
            return False
        self._assignment.is_drained.clear()
        return self._reads_suspect or bool(self._suspects_next and self._assignment.suspects())

    async def _fetch(self, limit: int, wait: float) -> list[Entry]:
        generation, deadline = self._assignment.generation, time.monotonic() + wait
        suspects = self._assignment.suspects()
        self._reads_suspect = False
        others = self._assignment.partitions.difference(suspects)
        if suspects and (self._suspects_next or not others):
            self._suspects_next = False
            return await self._fetch_suspect(suspects, generation)
        self._suspects_next = bool(suspects)
        if not others:
            await asyncio.sleep(wait)
            return []
        parts = [TopicPartition(self.topic, part) for part in others]
        seconds = min(wait, HEARTBEAT_SECONDS) if suspects else wait
        try:
            fetched = await self._consumer.getmany(
                *parts, timeout_ms=round(seconds * 1000), max_records=limit
            )
        except IllegalStateError:  # a rebalance took a partition away
            return []
        entries = await self._deliver(fetched, generation)
        left = deadline - time.monotonic()
        return entries if entries or not suspects else await self._fetch(limit, max(0.0, left))

    async def _fetch_suspect(self, suspects: Sequence[int], generation: int) -> list[Entry]:
        """Returns a partition's head by itself."""
        parts = [TopicPartition(self.topic, part) for part in suspects]
        fetched = await self._consumer.getmany(*parts, timeout_ms=_SUSPECT_FETCH_MS, max_records=1)
        entries = await self._deliver(fetched, generation)
        self._reads_suspect = bool(entries)
        if entries and entries[0].deliveries > MAX_DELIVERIES:
            detail = f"delivered {MAX_DELIVERIES} times, never acknowledged"
            try:
                await self.dead_letter(entries[0], "undeliverable", detail)
            except BaseException:
                self._undeliver(fetched)
                raise
            return []
        return entries

    async def _deliver(self, fetched: Fetched, generation: int) -> list[Entry]:
        """Returns the entries of a fetch; [] if a rebalance happened during it."""
        assignment = self._assignment
        if generation != assignment.generation or not assignment.is_complete.is_set():
            self._seek_back(fetched)
            return []
        entries = assignment.deliver(fetched)
        try:
            heads = assignment.unrecorded_heads(tp.partition for tp in fetched)
            await self._commit(self._consumer, heads)
        except BaseException:
            self._undeliver(fetched)
            raise
        assignment.delivered(fetched)
        return entries

    def _undeliver(self, fetched: Fetched) -> None:
        self._assignment.undeliver(fetched)
        self._seek_back(fetched)

    def _seek_back(self, fetched: Fetched) -> None:
        """Has the records fetched again: aiokafka has moved past them, and they may be ours."""
        for tp, records in fetched.items():
            with suppress(IllegalStateError):  # the partition is another member's
                self._consumer.seek(tp, records[0].offset)

    async def _commit(self, consumer: Any, commits: Commits) -> None:
        if not commits or consumer is None:
            return
        offsets = {
            TopicPartition(self.topic, part): OffsetAndMetadata(offset, metadata)
            for part, (offset, metadata) in commits.items()
        }
        try:
            await consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError) as error:
            log.warning("partitions_lost_before_commit", topic=str(self.topic), error=repr(error))

    async def _count_drops(self) -> None:
        """Counts the drops, including those that earlier calls could not count."""
        drops = tuple(self._uncounted_drops)
        if drops:
            async with self._client.pipeline(transaction=False) as pipe:
                for part, reason in drops:
                    pipe.hincrby(drops_of(self.topic, part), reason, 1)
                await pipe.execute()
            del self._uncounted_drops[: len(drops)]


async def _wait_for(event: asyncio.Event, seconds: float) -> None:
    """Returns when the event is set or the time is over."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
