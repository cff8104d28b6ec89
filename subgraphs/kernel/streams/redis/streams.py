"""The event streams on Redis: a stream a partition.

Durable means `appendonly yes` and `appendfsync always`: the server answers after the write is on
disk. All keys of a partition share a hash tag, so that a cluster keeps them on one node:

    {events:07}                     the stream
    {events:07}:lease:<group>       who reads it
    {events:07}:places              how far each group is, see `redis_places`
    {events:07}:once:<window>       marks of the ids that were appended, see `markers`
    {events:07}:drops, :dead        how many had no effect, by reason; dead letters
    {events}:members:<group>        the group's members and when each was last heard of
"""

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from weakref import WeakSet

from redis.asyncio import Redis

from subgraphs.kernel.redis import scripts
from subgraphs.kernel.redis.multiplexed import RedisPipeline
from subgraphs.kernel.redis.scripts import APPEND, APPEND_ONCE, Arguments, Call, packed, run
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
from subgraphs.kernel.streams.redis.consumer import RedisConsumer as RedisConsumer
from subgraphs.kernel.streams.redis.names import (
    dead_of,
    drops_of,
    entry_id,
    partition_in,
    place_in,
    places_of,
    stream_of,
)


class RedisStreams:
    """Topics as Redis streams."""

    appends_at_once = 4
    """One that waits for the disk, one that the server works at, and two on their way."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._pipeline = RedisPipeline(client, [APPEND.text, APPEND_ONCE.text])
        self._consumers: WeakSet[RedisConsumer] = WeakSet()

    async def append(self, topic: str, records: Sequence[Record]) -> None:
        def call(partition: int, chosen: Sequence[Record]) -> Call:
            return Call([stream_of(topic, partition)], [record.body for record in chosen])

        await self._append(APPEND, records, call)

    async def append_once(self, topic: str, records: Sequence[Record]) -> list[bool]:
        def call(partition: int, chosen: Sequence[Record]) -> Call:
            stream = stream_of(topic, partition)
            bodies = [record.body for record in chosen]
            marks = map(dedupe.mark_of, chosen)
            args: Arguments = [dedupe.KEPT_SECONDS, len(chosen), *marks, *bodies]
            return Call([stream, *dedupe.windows(stream)], args)

        answers = await self._append(APPEND_ONCE, records, call)
        return [bool(new) for new in answers]

    def consumer(self, topic: str, group: str) -> RedisConsumer:
        consumer = RedisConsumer(self._client, topic, group)
        self._consumers.add(consumer)
        return consumer

    async def lag(self, topic: str, group: str) -> Lag:
        return total(await self.lags(topic, group))

    async def lags(self, topic: str, group: str) -> list[Lag]:
        parts = range(PARTITIONS)
        calls = [
            Call([name(topic, part) for name in (stream_of, places_of, dead_of)], [group])
            for part in parts
        ]
        answers = await run(self._client, offsets.LAG, calls)
        return [_lag(part, answer) for part, answer in zip(parts, answers, strict=True)]

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
        async with self._client.pipeline(transaction=False) as pipe:
            for partition in range(PARTITIONS):
                pipe.xrange(dead_of(topic, partition), count=limit)
            found = await pipe.execute()
        letters = [
            DeadLetter(
                id=entry_id(partition, place),
                body=fields[b"e"],
                entry_id=fields[b"id"].decode(),
                reason=fields[b"reason"].decode(),
                detail=fields[b"detail"].decode(),
            )
            for partition, entries in enumerate(found)
            for place, fields in entries
        ]
        return letters[:limit]

    async def replay(self, topic: str, letters: Sequence[DeadLetter]) -> int:
        places: dict[int, list[str]] = {}
        for letter in letters:
            places.setdefault(partition_in(letter.id), []).append(place_in(letter.id))
        calls = [
            Call([stream_of(topic, part), dead_of(topic, part)], chosen)
            for part, chosen in places.items()
        ]
        return sum(await run(self._client, scripts.REPLAY, calls))

    async def delete_dead_letters(self, topic: str, *, before: datetime) -> None:
        oldest = str(round(before.timestamp() * 1000))
        async with self._client.pipeline(transaction=False) as pipe:
            for partition in range(PARTITIONS):
                pipe.xtrim(dead_of(topic, partition), minid=oldest, approximate=False)
            await pipe.execute()

    async def ping(self) -> None:
        await self._client.ping()

    async def close(self) -> None:
        for consumer in tuple(self._consumers):  # a beat would connect anew
            await consumer.fall_silent()
        await self._pipeline.close()
        await self._client.aclose()

    async def _append(
        self,
        script: scripts.Script,
        records: Sequence[Record],
        call: Callable[[int, Sequence[Record]], Call],
    ) -> list[Any]:
        """One call a partition, so that the records of a key are taken all or none."""
        places: dict[int, list[int]] = {}
        for place, record in enumerate(records):
            places.setdefault(partition_of(record.key), []).append(place)
        calls = [call(part, [records[at] for at in chosen]) for part, chosen in places.items()]
        answers = await self._pipeline.ask(packed(script, calls), len(calls))
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        found: list[Any] = [None] * len(records)
        for chosen, answer in zip(places.values(), answers, strict=True):
            for place, one in zip(chosen, answer or (), strict=False):
                found[place] = one
        return found


def _lag(partition: int, answer: Any) -> Lag:
    waiting, pending, dead_letter_count, oldest = answer
    appended = int(oldest.split(b"-")[0]) / 1000 if oldest else None
    return Lag(
        waiting=waiting,
        pending=pending,
        oldest_pending=entry_id(partition, oldest) if pending else None,
        dead_letter_count=dead_letter_count,
        age=max(0.0, time.time() - appended) if appended else 0.0,
    )
