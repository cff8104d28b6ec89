"""Event streams on Redis: one Redis stream per partition.

Durable means `appendonly yes` and `appendfsync always`: the server replies after the write is on
disk. All keys of a partition share a hash tag, so a cluster keeps them on one node:

    {events:07}                     the stream
    {events:07}:lease:<group>       name of the member that reads, see `membership`
    {events:07}:offsets             the groups' offsets, see `offsets`
    {events:07}:once:<window>       dedupe keys of the appended IDs, see `streams.dedupe`
    {events:07}:drops               number of entries without effect, by reason
    {events:07}:dead                dead letters
    {events}:members:<group>        the group's members and the times of their last heartbeats
"""

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from weakref import WeakSet

from redis.asyncio import Redis

from subgraphs.kernel.redis.multiplexed import MultiplexedConnection
from subgraphs.kernel.redis.scripts import Arguments, Call, Script, pack_calls, run
from subgraphs.kernel.streams import dedupe
from subgraphs.kernel.streams.interface import (
    PARTITIONS,
    DeadLetter,
    Lag,
    Record,
    partition_of,
    total,
)
from subgraphs.kernel.streams.redis import offsets
from subgraphs.kernel.streams.redis.append import APPEND, APPEND_ONCE, REPLAY
from subgraphs.kernel.streams.redis.consumer import RedisConsumer
from subgraphs.kernel.streams.redis.drops import drop_counts
from subgraphs.kernel.streams.redis.names import (
    dead_letters_of,
    entry_id,
    offsets_of,
    partition_in,
    stream_id_in,
    stream_of,
)


class RedisStreams:
    """Topics as Redis streams; implements `interface.Streams`. Closes the client with itself."""

    appends_at_once = 4
    """One waits for the disk, the server executes one, and two are on their way."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._connection = MultiplexedConnection(client, [APPEND.text, APPEND_ONCE.text])
        self._consumers: WeakSet[RedisConsumer] = WeakSet()

    async def append(self, topic: str, records: Sequence[Record]) -> None:
        def call(partition: int, chosen: Sequence[Record]) -> Call:
            return Call([stream_of(topic, partition)], [record.body for record in chosen])

        await self._append(APPEND, records, call)

    async def append_once(self, topic: str, records: Sequence[Record]) -> list[bool]:
        def call(partition: int, chosen: Sequence[Record]) -> Call:
            stream = stream_of(topic, partition)
            bodies = [record.body for record in chosen]
            keys = map(dedupe.dedupe_key, chosen)
            args: Arguments = [dedupe.KEPT_SECONDS, len(chosen), *keys, *bodies]
            return Call([stream, *dedupe.key_sets(stream)], args)

        replies = await self._append(APPEND_ONCE, records, call)
        return [bool(is_new) for is_new in replies]

    def consumer(self, topic: str, group: str) -> RedisConsumer:
        consumer = RedisConsumer(self._client, topic, group)
        self._consumers.add(consumer)
        return consumer

    async def lag(self, topic: str, group: str) -> Lag:
        return total(await self.lags(topic, group))

    async def lags(self, topic: str, group: str) -> list[Lag]:
        parts = range(PARTITIONS)
        calls = [
            Call([name(topic, part) for name in (stream_of, offsets_of, dead_letters_of)], [group])
            for part in parts
        ]
        replies = await run(self._client, offsets.LAG, calls)
        return [_lag(part, reply) for part, reply in zip(parts, replies, strict=True)]

    async def drops(self, topic: str) -> dict[str, int]:
        return await drop_counts(self._client, topic)

    async def dead_letters(self, topic: str, limit: int) -> list[DeadLetter]:
        async with self._client.pipeline(transaction=False) as pipe:
            for partition in range(PARTITIONS):
                pipe.xrange(dead_letters_of(topic, partition), count=limit)
            found = await pipe.execute()
        letters = [
            DeadLetter(
                id=entry_id(partition, stream_id),
                body=fields[b"e"],
                entry_id=fields[b"id"].decode(),
                reason=fields[b"reason"].decode(),
                detail=fields[b"detail"].decode(),
            )
            for partition, entries in enumerate(found)
            for stream_id, fields in entries
        ]
        return letters[:limit]

    async def replay(self, topic: str, letters: Sequence[DeadLetter]) -> int:
        stream_ids: dict[int, list[str]] = {}
        for letter in letters:
            stream_ids.setdefault(partition_in(letter.id), []).append(stream_id_in(letter.id))
        calls = [
            Call([stream_of(topic, part), dead_letters_of(topic, part)], chosen)
            for part, chosen in stream_ids.items()
        ]
        return sum(await run(self._client, REPLAY, calls))

    async def delete_dead_letters(self, topic: str, *, before: datetime) -> None:
        oldest = str(round(before.timestamp() * 1000))
        async with self._client.pipeline(transaction=False) as pipe:
            for partition in range(PARTITIONS):
                pipe.xtrim(dead_letters_of(topic, partition), minid=oldest, approximate=False)
            await pipe.execute()

    async def ping(self) -> None:
        await self._client.ping()

    async def close(self) -> None:
        for consumer in tuple(self._consumers):  # a heartbeat would connect again
            await consumer.stop_heartbeats()
        await self._connection.close()
        await self._client.aclose()

    async def _append(
        self,
        script: Script,
        records: Sequence[Record],
        call: Callable[[int, Sequence[Record]], Call],
    ) -> list[Any]:
        """Runs one call per partition, so that the records of a key are appended all or none.

        Returns each record's part of the replies, in the order of the records.
        """
        positions: dict[int, list[int]] = {}
        for position, record in enumerate(records):
            positions.setdefault(partition_of(record.key), []).append(position)
        calls = [call(part, [records[at] for at in chosen]) for part, chosen in positions.items()]
        replies = await self._connection.request(pack_calls(script, calls), len(calls))
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        results: list[Any] = [None] * len(records)
        for chosen, reply in zip(positions.values(), replies, strict=True):
            for position, result in zip(chosen, reply or (), strict=False):
                results[position] = result
        return results


def _lag(partition: int, reply: Any) -> Lag:
    waiting, pending, dead_letter_count, oldest = reply
    appended = int(oldest.split(b"-")[0]) / 1000 if oldest else None
    return Lag(
        waiting=waiting,
        pending=pending,
        oldest_pending=entry_id(partition, oldest) if pending else None,
        dead_letter_count=dead_letter_count,
        age=max(0.0, time.time() - appended) if appended else 0.0,
    )
