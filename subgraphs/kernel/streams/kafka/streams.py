"""Event streams on Kafka.

Durable means `acks=all` by an idempotent producer: a record is in the log of every broker that is
in sync, and a repeated send is stored once. Kafka keeps the groups' offsets. Redis keeps the dedupe
keys (`kafka.dedupe`) and the drop counters, under the key names of the streams on Redis.
"""

import time
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from weakref import WeakSet

from redis.asyncio import Redis

from subgraphs.kernel.streams.dedupe import dedupe_key
from subgraphs.kernel.streams.interface import (
    PARTITIONS,
    DeadLetter,
    Lag,
    Record,
    partition_of,
    total,
)
from subgraphs.kernel.streams.kafka.cluster import Cluster
from subgraphs.kernel.streams.kafka.consumer import KafkaConsumer
from subgraphs.kernel.streams.kafka.dead_letters import DeadLetters
from subgraphs.kernel.streams.kafka.dedupe import DedupeKeys
from subgraphs.kernel.streams.redis.drops import drop_counts


class KafkaStreams:
    """Topics of a Kafka cluster; implements `interface.Streams`.

    Args:
        servers: host:port[,host:port].
        client: the Redis with the dedupe keys and the drop counters; closed with these streams.
        seconds: time in which a broker must answer.
    """

    appends_at_once = 1
    """An append searches the dedupe keys first, so a second one could overtake it meanwhile."""

    def __init__(self, servers: str, client: Redis, *, seconds: float) -> None:
        self._cluster = Cluster(servers, seconds=seconds)
        self._client = client
        self._dedupe_keys = DedupeKeys(client)
        self._dead_letters = DeadLetters(self._cluster)
        self._consumers: WeakSet[KafkaConsumer] = WeakSet()

    async def append(self, topic: str, records: Sequence[Record]) -> None:
        batches: dict[int, list[dict[str, Any]]] = {}
        for record in records:
            message = {"key": record.key.encode(), "value": record.body, "headers": []}
            batches.setdefault(partition_of(record.key), []).append(message)
        await self._cluster.produce(topic, batches)

    async def append_once(self, topic: str, records: Sequence[Record]) -> list[bool]:
        keys = [dedupe_key(record) for record in records]
        first_at = {key: position for position, key in reversed(list(enumerate(keys)))}
        known = await self._dedupe_keys.find(topic, _by_partition(records, keys, range(len(keys))))
        new = sorted(position for key, position in first_at.items() if key not in known)
        await self.append(topic, [records[position] for position in new])
        await self._dedupe_keys.add(topic, _by_partition(records, keys, new))
        appended = set(new)
        return [position in appended for position in range(len(records))]

    def consumer(self, topic: str, group: str) -> KafkaConsumer:
        consumer = KafkaConsumer(self._cluster, self._client, topic, group)
        self._consumers.add(consumer)
        return consumer

    async def lag(self, topic: str, group: str) -> Lag:
        return total(await self.lags(topic, group))

    async def lags(self, topic: str, group: str) -> list[Lag]:
        """Returns the group's lag by partition.

        Only the members in this process know their entries in flight. Entries that another
        process's members have in flight count as waiting.
        """
        committed = await self._cluster.committed(topic, group)
        first, after = await self._cluster.ends(topic)
        dead_letter_counts = await self._dead_letters.counts(topic)
        at = {p: max(first[p], committed[p].offset if p in committed else 0) for p in first}
        behind = {part: offset for part, offset in at.items() if offset < after[part]}
        oldest = await self._cluster.records_at(topic, behind)
        lags = []
        for part in range(PARTITIONS):
            in_flight = self._in_flight(topic, group, part)
            age = max(0.0, time.time() - oldest[part].timestamp / 1000) if part in oldest else 0.0
            waiting = max(0, after[part] - at[part] - len(in_flight))
            entry_id = f"{part:02}:{in_flight[0]}" if in_flight else None
            dead_letter_count = dead_letter_counts.get(part, 0)
            lags.append(Lag(waiting, len(in_flight), entry_id, dead_letter_count, age))
        return lags

    async def drops(self, topic: str) -> dict[str, int]:
        return await drop_counts(self._client, topic)

    async def dead_letters(self, topic: str, limit: int) -> list[DeadLetter]:
        return await self._dead_letters.list(topic, limit)

    async def replay(self, topic: str, letters: Sequence[DeadLetter]) -> int:
        return await self._dead_letters.replay(topic, letters)

    async def delete_dead_letters(self, topic: str, *, before: datetime) -> None:
        await self._dead_letters.delete(topic, before=before)

    async def ping(self) -> None:
        await self._cluster.ping()

    async def close(self) -> None:
        for consumer in list(self._consumers):
            await consumer.leave()
        await self._cluster.close()
        await self._client.aclose()

    def _in_flight(self, topic: str, group: str, part: int) -> list[int]:
        """Returns the offsets in flight with this process's members, in order."""
        return sorted(
            offset
            for consumer in self._consumers
            if (consumer.topic, consumer.group) == (topic, group)
            for offset in consumer.in_flight(part)
        )


def _by_partition(
    records: Sequence[Record], keys: Sequence[bytes], positions: Collection[int]
) -> dict[int, list[bytes]]:
    """Returns the dedupe keys of the records at some positions, by partition."""
    chosen: dict[int, list[bytes]] = {}
    for position in positions:
        chosen.setdefault(partition_of(records[position].key), []).append(keys[position])
    return chosen
