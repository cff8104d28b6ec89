"""One member of a group on Kafka.

Kafka's own group protocol shares the partitions out; a member that dies is followed after
`SESSION` seconds. What is acknowledged is committed at once, up to the first entry that is not:
Kafka keeps one place a partition, so what was acknowledged beyond it comes again after a takeover.

Kafka does not count deliveries. The commit's metadata says how often the entry it stands at was
given out by members that did not get past it: written before the first entries of a partition are
given out, and none as soon as there is progress. So a death counts for the entry at the head alone,
and the first one after progress not at all; an entry that kills its readers becomes the head, is
given out alone from then on, and is buried in the end, as on Redis.
"""

import asyncio
import logging
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError
from aiokafka.structs import OffsetAndMetadata
from redis.asyncio import Redis

from subgraphs.kernel.retry import retry_while_unavailable
from subgraphs.kernel.streams.interface import MAX_DELIVERIES, SUSPECT_DELIVERIES, Entry
from subgraphs.kernel.streams.kafka.cluster import Cluster, dead_letter_topic
from subgraphs.kernel.streams.redis.names import drops_of

log = logging.getLogger(__name__)

SESSION = 6.0
"""Seconds after which a member that is not heard of is dead; brokers allow no less by default."""

_HEARTBEAT = 0.5
"""Seconds; so soon does a member hear that the partitions are shared out anew."""

_FINISH = 10.0
"""Seconds that what is in hand may take when a partition goes to another; the rest comes again."""

_REBALANCE = 30.0
"""Seconds the group waits for a member that is finishing."""

_A_DAY = 24 * 3600
"""Seconds a batch may take: a store that is away must not cost a member its partitions."""

_FIRST_ASSIGNMENT = 5.0
"""Seconds a first read waits for its share at most."""


class KafkaConsumer:
    """A member of a group."""

    def __init__(self, cluster: Cluster, client: Redis, topic: str, group: str) -> None:
        self.topic = topic
        self.group = group
        self._cluster = cluster
        self._client = client
        self._consumer: Any = None
        self._assigned: set[int] = set()
        self._shared_out = asyncio.Event()
        self._finished = asyncio.Event()
        self._epoch = 0
        self._in_hand: dict[int, dict[int, Any]] = {}
        self._drops: list[tuple[int, str]] = []
        self._is_alone = False
        self._next: dict[int, int] = {}
        self._attempts: dict[int, int] = {}
        self._untold: set[int] = set()
        self._suspects_turn = False

    @property
    def partitions(self) -> set[int]:
        """Those that it holds."""
        return set(self._assigned)

    def in_hand(self, part: int) -> Collection[int]:
        """Offsets given out by this member and not acknowledged."""
        return self._in_hand.get(part, {}).keys()

    async def read(self, *, limit: int, wait: float) -> list[Entry]:
        if self._consumer is None:
            await self._join()
        if not self._shared_out.is_set():
            await _within(wait, self._shared_out)
            return []
        if self._is_held_up():
            await _within(wait, self._finished)
            return []
        return await self._fetch(limit, wait)

    async def ack(self, entries: Sequence[Entry], dropped: Mapping[str, str] | None = None) -> None:
        reasons = dropped or {}
        touched: set[int] = set()
        for entry in entries:
            part, offset = _place(entry)
            if self._in_hand.get(part, {}).pop(offset, None) is not None:
                touched.add(part)
                if reason := reasons.get(entry.id):
                    self._drops.append((part, reason))
        await self._progress(touched)
        await self._count()

    async def dead_letter(self, entry: Entry, reason: str, detail: str) -> None:
        part, offset = _place(entry)
        record = self._in_hand.get(part, {}).get(offset)
        if record is None:
            return
        told = {"id": entry.id, "reason": reason, "detail": detail}
        headers = [(name, value.encode()) for name, value in told.items()]
        message = {"key": record.key, "value": entry.body, "headers": headers}
        await self._cluster.produce(dead_letter_topic(self.topic), {part: [message]})
        await self.ack([entry], {entry.id: reason})
        log.error("buried %s of %s, %s: %s", entry.id, self.topic, reason, detail)

    async def trim(self) -> None:
        needed: dict[int, int] = {}
        for group in await self._cluster.groups():
            for part, place in (await self._cluster.committed(self.topic, group)).items():
                needed[part] = min(place.offset, needed.get(part, place.offset))
        mine = {
            part: offset for part, offset in needed.items() if part in self._assigned and offset
        }
        if mine:
            await self._cluster.delete_before(self.topic, mine)

    async def leave(self) -> None:
        if self._consumer is None:
            return
        consumer, self._consumer = self._consumer, None
        await self._give_up(consumer)
        await consumer.stop()

    async def _join(self) -> None:
        await self._cluster.provide(self.topic)
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._cluster.servers,
            group_id=self.group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=round(SESSION * 1000),
            heartbeat_interval_ms=round(_HEARTBEAT * 1000),
            rebalance_timeout_ms=round(_REBALANCE * 1000),
            max_poll_interval_ms=_A_DAY * 1000,
            fetch_max_wait_ms=250,
        )
        self._consumer.subscribe([self.topic], listener=_Listener(self))
        try:
            await self._consumer.start()
        except BaseException:
            consumer, self._consumer = self._consumer, None
            await consumer.stop()
            raise
        await _within(_FIRST_ASSIGNMENT, self._shared_out)

    # Reading

    def _suspects(self) -> list[int]:
        """The partitions whose head may be what killed its readers."""
        return [part for part in self._untold if self._attempts[part] >= SUSPECT_DELIVERIES]

    def _is_held_up(self) -> bool:
        """Whether what is in hand must be done first, for it or what comes next may kill us."""
        if not any(self._in_hand.values()):
            return False
        self._finished.clear()
        return self._is_alone or bool(self._suspects_turn and self._suspects())

    async def _fetch(self, limit: int, wait: float) -> list[Entry]:
        epoch, deadline = self._epoch, time.monotonic() + wait
        suspects = self._suspects()
        self._is_alone = False
        others = self._assigned.difference(suspects)
        if suspects and (self._suspects_turn or not others):
            self._suspects_turn = False
            return await self._fetch_suspect(suspects, epoch)
        self._suspects_turn = bool(suspects)
        if not others:
            await asyncio.sleep(wait)
            return []
        parts = [TopicPartition(self.topic, part) for part in others]
        seconds = min(wait, _HEARTBEAT) if suspects else wait
        try:
            found = await self._consumer.getmany(
                *parts, timeout_ms=round(seconds * 1000), max_records=limit
            )
        except IllegalStateError:  # they were shared out anew
            return []
        entries = await self._given(found, epoch)
        left = deadline - time.monotonic()
        return entries if entries or not suspects else await self._fetch(limit, max(0.0, left))

    async def _fetch_suspect(self, suspects: Sequence[int], epoch: int) -> list[Entry]:
        """The entry at a partition's head, by itself."""
        parts = [TopicPartition(self.topic, part) for part in suspects]
        found = await self._consumer.getmany(*parts, timeout_ms=1000, max_records=1)
        entries = await self._given(found, epoch)
        self._is_alone = bool(entries)
        if entries and entries[0].deliveries > MAX_DELIVERIES:
            detail = f"given out {MAX_DELIVERIES} times, never done"
            try:
                await self.dead_letter(entries[0], "undeliverable", detail)
            except BaseException:
                self._take_back(found)
                raise
            return []
        return entries

    async def _given(self, found: Mapping[TopicPartition, list[Any]], epoch: int) -> list[Entry]:
        """Take what was fetched in hand, unless the partitions were shared out anew meanwhile."""
        if epoch != self._epoch or not self._shared_out.is_set():
            self._put_back(found)
            return []
        entries = []
        for tp, records in found.items():
            part = tp.partition
            in_hand = self._in_hand.setdefault(part, {})
            deliveries = self._attempts.get(part, 0) + 1
            for record in records:
                in_hand[record.offset] = record
                entries.append(Entry(_id(record), record.value, deliveries))
        try:
            await self._tell(tp.partition for tp in found)
        except BaseException:
            self._take_back(found)
            raise
        for tp, records in found.items():
            self._next[tp.partition] = records[-1].offset + 1
        return entries

    def _take_back(self, found: Mapping[TopicPartition, list[Any]]) -> None:
        """Who asked does not get them: in hand, they would be with nobody."""
        for tp, records in found.items():
            for record in records:
                self._in_hand.get(tp.partition, {}).pop(record.offset, None)
            self._untold.add(tp.partition)
        self._put_back(found)

    def _put_back(self, found: Mapping[TopicPartition, list[Any]]) -> None:
        """Have it fetched again: a fetch that outlasts a rebalance may bring what is ours anew, and
        the driver counts it as read."""
        for tp, records in found.items():
            with suppress(IllegalStateError):  # it is not ours
                self._consumer.seek(tp, records[0].offset)

    async def _tell(self, parts: Iterable[int]) -> None:
        """Write down that a partition's head is given out, before it is."""
        told = {part for part in parts if part in self._untold}
        places = {
            part: (min(self._in_hand[part]), str(self._attempts.get(part, 0) + 1)) for part in told
        }
        await self._commit(self._consumer, places)
        self._untold -= told

    # Progress

    async def _progress(self, parts: Iterable[int]) -> None:
        places = {}
        for part in parts:
            self._attempts[part] = 0
            places[part] = (min(self._in_hand[part], default=self._next[part]), "")
        if not any(self._in_hand.values()):
            self._finished.set()
        await self._commit(self._consumer, places)

    async def _commit(self, consumer: Any, places: Mapping[int, tuple[int, str]]) -> None:
        if not places or consumer is None:
            return
        offsets = {
            TopicPartition(self.topic, part): OffsetAndMetadata(offset, metadata)
            for part, (offset, metadata) in places.items()
        }
        try:
            await consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError) as error:
            log.warning("%s went to another member before it was done: %r", self.topic, error)

    async def _count(self) -> None:
        """Those that could not be counted when they were acknowledged, too."""
        counted = tuple(self._drops)
        if counted:
            async with self._client.pipeline(transaction=False) as pipe:
                for part, reason in counted:
                    pipe.hincrby(drops_of(self.topic, part), reason, 1)
                await pipe.execute()
            del self._drops[: len(counted)]

    async def _give_up(self, consumer: Any) -> None:
        """Forget what is in hand; say how often the heads of the partitions were given out."""
        self._epoch += 1
        self._shared_out.clear()
        places = {}
        for part, records in self._in_hand.items():
            if records:
                attempts = self._attempts.get(part, 0)
                places[part] = (min(records), str(attempts + 1))
        self._in_hand.clear()
        self._assigned = set()
        await self._commit(consumer, places)

    async def _revoked(self) -> None:
        self._shared_out.clear()
        self._epoch += 1
        if any(self._in_hand.values()):
            self._finished.clear()
            await _within(_FINISH, self._finished)
        if self._consumer is not None:
            await self._give_up(self._consumer)

    async def _dealt(self, parts: Iterable[int]) -> None:
        # The driver goes on without us if this fails, and we would wait for ever to be dealt any.
        find = partial(self._cluster.committed, self.topic, self.group)
        committed = await retry_while_unavailable("assignment", find)
        self._assigned = set(parts)
        self._untold = set(self._assigned)
        self._attempts = {
            part: int(committed[part].metadata or 0) if part in committed else 0
            for part in self._assigned
        }
        self._epoch += 1
        self._shared_out.set()


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Hears when the partitions are shared out anew."""

    def __init__(self, consumer: KafkaConsumer) -> None:
        self._consumer = consumer

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        if revoked:
            await self._consumer._revoked()

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        await self._consumer._dealt(tp.partition for tp in assigned)


async def _within(seconds: float, event: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


def _id(record: Any) -> str:
    return f"{record.partition:02}:{record.offset}"


def _place(entry: Entry) -> tuple[int, int]:
    part, _, offset = entry.id.partition(":")
    return int(part), int(offset)
