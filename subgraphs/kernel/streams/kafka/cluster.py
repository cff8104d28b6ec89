"""The clients of a Kafka cluster: a producer, an admin client, and a reader of its records.

A client connects at its first use. A producer that failed is replaced at the next call.
"""

import asyncio
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.errors import TopicAlreadyExistsError, for_code

from subgraphs.kernel.streams.interface import PARTITIONS

MAX_BATCH = 1024 * 1024 - 64 * 1024
"""Bytes of one batch, which a broker stores all or none. Brokers accept 1 MiB by default."""

_FETCH_SECONDS = 2.0
"""Timeout of a fetch for records that exist."""

Record = Any
"""aiokafka's ConsumerRecord."""


def partitions_of(topic: str) -> list[TopicPartition]:
    return [TopicPartition(topic, part) for part in range(PARTITIONS)]


class Cluster:
    """A cluster of brokers.

    Args:
        servers: host:port[,host:port].
        seconds: timeout of a request.
    """

    def __init__(self, servers: str, *, seconds: float) -> None:
        self.servers = servers
        self._timeout_ms = round(seconds * 1000)
        self._lock = asyncio.Lock()
        self._reading = asyncio.Lock()
        self._producer: Any = None
        self._admin: Any = None
        self._reader: Any = None
        self._topics: set[str] = set()

    async def produce(
        self, topic: str, batches: Mapping[int, Collection[Mapping[str, Any]]]
    ) -> None:
        """Appends messages (key, value, headers) by partition; they are durable when this returns.

        A partition's messages are stored all or none if they fit into one batch.
        """
        producer = await self._started_producer(topic)
        try:
            sent = []
            for part, messages in batches.items():
                for builder in _batches(producer, messages):
                    sent.append(await producer.send_batch(builder, topic, partition=part))
            await asyncio.gather(*sent)
        except Exception:
            # An idempotent producer that gave a batch up keeps a gap in its sequence numbers.
            if self._producer is producer:
                self._producer = None
                await producer.stop()
            raise

    async def committed(self, topic: str, group: str) -> dict[int, Any]:
        """Returns the group's (offset, metadata) of the partitions that have a commit."""
        await self.create_topic(topic)
        admin = await self._started_admin()
        found = await admin.list_consumer_group_offsets(group, partitions=partitions_of(topic))
        return {tp.partition: it for tp, it in found.items() if it.offset >= 0}

    async def ends(self, topic: str) -> tuple[dict[int, int], dict[int, int]]:
        """Returns by partition the first offset, and the offset after the last record."""
        reader = await self._started_reader(topic)
        parts = partitions_of(topic)
        first, after = await asyncio.gather(
            reader.beginning_offsets(parts), reader.end_offsets(parts)
        )
        return _by_partition(first), _by_partition(after)

    async def records_at(self, topic: str, offsets: Mapping[int, int]) -> dict[int, Record]:
        """Returns by partition the first record at or after an offset."""
        found = await self.records_from(topic, offsets, limit=1)
        return {part: records[0] for part, records in found.items() if records}

    async def records_from(
        self, topic: str, offsets: Mapping[int, int], limit: int | None = None
    ) -> dict[int, list[Record]]:
        """Returns by partition the records from an offset up to the present end."""
        _, ends = await self.ends(topic)
        reader = self._reader
        async with self._reading:
            found: dict[int, list[Record]] = {part: [] for part in offsets}
            for part, offset in offsets.items():
                if offset < ends[part]:
                    found[part] = await _read(
                        reader, TopicPartition(topic, part), offset, ends, limit
                    )
            return found

    async def offsets_at(self, topic: str, when: datetime) -> dict[int, int]:
        """Returns by partition the offset of the first record at or after a time.

        If there is none, returns the offset after the last record.
        """
        _, after = await self.ends(topic)
        at = dict.fromkeys(partitions_of(topic), round(when.timestamp() * 1000))
        found = await self._reader.offsets_for_times(at)
        since = {tp.partition: it.offset for tp, it in found.items() if it is not None}
        return after | since

    async def groups(self) -> list[str]:
        """Returns the names of the cluster's consumer groups."""
        admin = await self._started_admin()
        return [name for name, *_ in await admin.list_consumer_groups()]

    async def delete_before(self, topic: str, offsets: Mapping[int, int]) -> None:
        """Deletes the records before an offset of each partition."""
        admin = await self._started_admin()
        await admin.delete_records(
            {
                TopicPartition(topic, part): RecordsToDelete(before_offset=offset)
                for part, offset in offsets.items()
            }
        )

    async def create_topic(self, topic: str) -> None:
        """Creates the topic if it does not exist, with the brokers' default replication factor."""
        if topic in self._topics:
            return
        admin = await self._started_admin()
        # Only `trim` deletes records: those that every group has acknowledged.
        configs = {"retention.ms": "-1"}
        wanted = [NewTopic(topic, PARTITIONS, -1, {}, configs)]
        reply = await admin.create_topics(wanted)
        for _, code, *_ in reply.topic_errors:
            error = for_code(code)
            if code and error is not TopicAlreadyExistsError:
                raise error(topic)
        self._topics.add(topic)

    async def ping(self) -> None:
        """Returns once a broker has answered."""
        admin = await self._started_admin()
        await admin.describe_cluster()

    async def close(self) -> None:
        """Closes the clients."""
        for opened in (self._producer, self._reader):
            if opened is not None:
                await opened.stop()
        if self._admin is not None:
            await self._admin.close()
        self._producer = self._reader = self._admin = None

    async def _started_producer(self, topic: str) -> Any:
        await self.create_topic(topic)
        if self._producer is not None:
            return self._producer
        async with self._lock:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    bootstrap_servers=self.servers,
                    enable_idempotence=True,
                    acks="all",
                    max_batch_size=MAX_BATCH,
                    request_timeout_ms=self._timeout_ms,
                )
                await producer.start()
                self._producer = producer
            return self._producer

    async def _started_admin(self) -> Any:
        async with self._lock:
            if self._admin is None:
                admin = AIOKafkaAdminClient(
                    bootstrap_servers=self.servers, request_timeout_ms=self._timeout_ms
                )
                await admin.start()
                self._admin = admin
            return self._admin

    async def _started_reader(self, topic: str) -> Any:
        await self.create_topic(topic)
        async with self._lock:
            if self._reader is None:
                reader = AIOKafkaConsumer(
                    bootstrap_servers=self.servers, request_timeout_ms=self._timeout_ms
                )
                await reader.start()
                self._reader = reader
            return self._reader


async def _read(
    reader: Any, part: TopicPartition, offset: int, ends: Mapping[int, int], limit: int | None
) -> list[Record]:
    reader.assign([part])
    reader.seek(part, offset)
    records: list[Record] = []
    while (limit is None or len(records) < limit) and await reader.position(part) < ends[
        part.partition
    ]:
        found = await reader.getmany(
            part, timeout_ms=round(_FETCH_SECONDS * 1000), max_records=limit
        )
        if not found:
            break  # the records were deleted meanwhile
        records += found[part]
    return records


def _batches(producer: Any, messages: Collection[Mapping[str, Any]]) -> list[Any]:
    """Returns the messages in as few batches as hold them."""
    builders = [producer.create_batch()]
    for message in messages:
        if builders[-1].append(timestamp=None, **message) is None:
            builders.append(producer.create_batch())
            builders[-1].append(timestamp=None, **message)
    for builder in builders:
        builder.close()
    return builders


def _by_partition(offsets: Mapping[TopicPartition, int]) -> dict[int, int]:
    return {part.partition: offset for part, offset in offsets.items()}
