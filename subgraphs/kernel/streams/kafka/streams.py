"""The event streams on Kafka.

Durable means acks=all by an idempotent producer: a record is in the log of every broker that is in
sync, and a repeated send is stored once. The groups' progress is Kafka's own; beside it Redis
keeps, under the names that the streams on Redis use, the ids seen lately and the drops counted.

`append_once` looks there before it appends and marks what it appended afterwards, never before: a
mark without its record would lose an event. So an id may be appended twice: when Redis is away,
after a crash in between, and when two processes get it at the same time. The ledger stores it once
by its primary key.
"""

import logging
import time
import weakref
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from subgraphs.kernel.redis import scripts
from subgraphs.kernel.redis.scripts import Arguments, Call, run
from subgraphs.kernel.streams import dedupe
from subgraphs.kernel.streams.interface import (
    PARTITIONS,
    DeadLetter,
    Lag,
    Record,
    partition_of,
    total,
)
from subgraphs.kernel.streams.kafka.cluster import Cluster, dead_letter_topic
from subgraphs.kernel.streams.kafka.consumer import KafkaConsumer
from subgraphs.kernel.streams.redis.names import drops_of, stream_of

log = logging.getLogger(__name__)

_WITHOUT_MARKS = 5.0
"""Seconds in which Redis is not asked again after it did not answer."""

Places = dict[int, list[int]]
Ends = tuple[dict[int, int], dict[int, int]]


class KafkaStreams:
    """Topics of a Kafka cluster.

    Args:
        servers: host:port[,host:port].
        client: the Redis that remembers ids and counts drops; closed with these streams.
    """

    appends_at_once = 1
    """Each looks at the marks first, and so would overtake one that began before it."""

    def __init__(self, servers: str, client: Redis, *, seconds: float) -> None:
        self._cluster = Cluster(servers, seconds=seconds)
        self._client = client
        self._marks_from = 0.0
        self._dead_known: dict[str, tuple[Ends, dict[tuple[int, int], Any]]] = {}
        self._consumers: weakref.WeakSet[KafkaConsumer] = weakref.WeakSet()

    async def append(self, topic: str, records: Sequence[Record]) -> None:
        batches: dict[int, list[dict[str, Any]]] = {}
        for record in records:
            message = {"key": record.key.encode(), "value": record.body, "headers": []}
            batches.setdefault(partition_of(record.key), []).append(message)
        await self._cluster.produce(topic, batches)

    async def append_once(self, topic: str, records: Sequence[Record]) -> list[bool]:
        marks = [dedupe.mark_of(record) for record in records]
        places: Places = {}
        for place, record in enumerate(records):
            places.setdefault(partition_of(record.key), []).append(place)
        new = await self._not_seen(topic, marks, places)
        await self.append(topic, [records[place] for place in sorted(new)])
        await self._mark(
            topic, marks, {p: [it for it in at if it in new] for p, at in places.items()}
        )
        return [place in new for place in range(len(records))]

    def consumer(self, topic: str, group: str) -> KafkaConsumer:
        made = KafkaConsumer(self._cluster, self._client, topic, group)
        self._consumers.add(made)
        return made

    async def lag(self, topic: str, group: str) -> Lag:
        return total(await self.lags(topic, group))

    async def lags(self, topic: str, group: str) -> list[Lag]:
        """Only the members in this process can tell what they have in hand; what another's have
        counts as waiting."""
        committed = await self._cluster.committed(topic, group)
        first, after = await self._cluster.ends(topic)
        dead_letter_count = await self._dead(topic)
        at = {p: max(first[p], committed[p].offset if p in committed else 0) for p in first}
        behind = {part: offset for part, offset in at.items() if offset < after[part]}
        oldest = await self._cluster.records_at(topic, behind)
        lags = []
        for part in range(PARTITIONS):
            places = self._in_hand(topic, group, part)
            dead_here = sum(1 for letter in dead_letter_count if letter[0] == part)
            age = max(0.0, time.time() - oldest[part].timestamp / 1000) if part in oldest else 0.0
            waiting = max(0, after[part] - at[part] - len(places))
            name = f"{part:02}:{places[0]}" if places else None
            lags.append(Lag(waiting, len(places), name, dead_here, age))
        return lags

    async def drops(self, topic: str) -> dict[str, int]:
        async with self._client.pipeline(transaction=False) as pipe:
            for partition in range(PARTITIONS):
                pipe.hgetall(drops_of(topic, partition))
            counted = await pipe.execute()
        drops: dict[str, int] = {}
        for reason, count in (item for part in counted for item in part.items()):
            drops[reason.decode()] = drops.get(reason.decode(), 0) + int(count)
        return drops

    async def dead_letters(self, topic: str, limit: int) -> list[DeadLetter]:
        found = await self._dead(topic)
        return [_letter(record) for record in found.values()][:limit]

    async def replay(self, topic: str, letters: Sequence[DeadLetter]) -> int:
        """A crash in the middle may put one back twice; its effect is still once."""
        found = await self._dead(topic)
        back = 0
        for letter in letters:
            part, offset = map(int, letter.id.split(":"))
            record = found.get((part, offset))
            if record is None:
                continue
            message = {"key": record.key, "value": record.value, "headers": []}
            await self._cluster.produce(topic, {part: [message]})
            told = {
                "key": record.key,
                "value": b"",
                "headers": [("replayed", str(offset).encode())],
            }
            await self._cluster.produce(dead_letter_topic(topic), {part: [told]})
            back += 1
        return back

    async def delete_dead_letters(self, topic: str, *, before: datetime) -> None:
        name = dead_letter_topic(topic)
        await self._cluster.delete_before(name, await self._cluster.offsets_at(name, before))

    async def ping(self) -> None:
        await self._cluster.ping()

    async def close(self) -> None:
        for consumer in list(self._consumers):
            await consumer.leave()
        await self._cluster.close()
        await self._client.aclose()

    def _in_hand(self, topic: str, group: str, part: int) -> list[int]:
        """Offsets in the hands of this process's members."""
        return sorted(
            offset
            for consumer in self._consumers
            if (consumer.topic, consumer.group) == (topic, group)
            for offset in consumer.in_hand(part)
        )

    async def _dead(self, topic: str) -> dict[tuple[int, int], Any]:
        """The dead letters that were not put back, by partition and offset."""
        name = dead_letter_topic(topic)
        ends = await self._cluster.ends(name)
        known, letters = self._dead_known.get(topic, (({}, {}), {}))
        if known == ends:
            return letters
        found: dict[tuple[int, int], Any] = {}
        for part, records in (await self._cluster.records_from(name, ends[0])).items():
            for record in records:
                headers = dict(record.headers)
                if "replayed" in headers:
                    found.pop((part, int(headers["replayed"])), None)
                else:
                    found[part, record.offset] = record
        self._dead_known[topic] = ends, found
        return found

    async def _not_seen(self, topic: str, marks: Sequence[bytes], places: Places) -> set[int]:
        """The places of the ids that are new, as far as is known."""
        calls = []
        for part, at in places.items():
            args: Arguments = [marks[place] for place in at]
            calls.append(Call(dedupe.windows(stream_of(topic, part)), args))
        answers = await self._ask_marks(scripts.SEEN, calls)
        seen = {
            place
            for at, answer in zip(places.values(), answers, strict=False)
            for place, known in zip(at, answer, strict=True)
            if known
        }
        firsts = {mark: place for place, mark in reversed(list(enumerate(marks)))}
        return set(firsts.values()) - seen

    async def _mark(self, topic: str, marks: Sequence[bytes], places: Places) -> None:
        calls = []
        for part, at in places.items():
            if at:
                args: Arguments = [dedupe.KEPT_SECONDS, *(marks[place] for place in at)]
                calls.append(Call(dedupe.windows(stream_of(topic, part))[:1], args))
        await self._ask_marks(scripts.MARK, calls)

    async def _ask_marks(self, script: scripts.Script, calls: Sequence[Call]) -> list[Any]:
        """Nothing while Redis is away: an event is not refused for want of its mark."""
        if not calls or time.monotonic() < self._marks_from:
            return []
        try:
            return await run(self._client, script, calls)
        except (RedisError, OSError) as error:
            log.warning("ids are not remembered for %g s: %r", _WITHOUT_MARKS, error)
            self._marks_from = time.monotonic() + _WITHOUT_MARKS
            return []


def _letter(record: Any) -> DeadLetter:
    headers = {name: value.decode() for name, value in record.headers}
    return DeadLetter(
        id=f"{record.partition:02}:{record.offset}",
        body=record.value,
        entry_id=headers["id"],
        reason=headers["reason"],
        detail=headers["detail"],
    )
