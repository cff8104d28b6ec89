"""The two engines of the event streams, for tests that run on both."""

from collections.abc import Sequence
from itertools import count
from typing import Protocol
from uuid import uuid4

from redis.asyncio import Redis

from subgraphs.kernel import cancellation
from subgraphs.kernel.streams.interface import PARTITIONS, Entry, Lag, Record, Streams, partition_of
from subgraphs.kernel.streams.kafka.consumer import KafkaConsumer
from subgraphs.kernel.streams.kafka.group import SESSION_SECONDS
from subgraphs.kernel.streams.redis.consumer import RedisConsumer
from subgraphs.kernel.streams.redis.membership import HEARTBEAT_SECONDS, LEASE_SECONDS
from subgraphs.kernel.streams.redis.names import lease_of, members_of
from tests.fixtures.deadline import eventually

KEYS = [next(f"{n}" for n in count() if partition_of(f"{n}") == p) for p in range(PARTITIONS)]
"""One key for each partition."""

Member = RedisConsumer | KafkaConsumer


class Server(Protocol):
    """The store of the streams; its data survive a kill."""

    def start(self) -> None: ...
    def kill(self) -> None: ...


class Engine:
    """Streams with a topic of the test's own.

    Attributes:
        read_seconds: time in which a read finds the entries that exist.
        takeover_seconds: time after which others hold a dead member's partitions.
        is_exact: the engine counts each entry's deliveries and keeps each acknowledgement.
    """

    def __init__(self, streams: Streams, server: Server, *, is_kafka: bool) -> None:
        self.streams = streams
        self.server = server
        self.topic = f"t-{uuid4().hex[:12]}"
        self.read_seconds = 2.0 if is_kafka else 0.0
        redis_takeover = LEASE_SECONDS + 3 * HEARTBEAT_SECONDS
        self.takeover_seconds = SESSION_SECONDS + 6.0 if is_kafka else redis_takeover
        self.is_exact = not is_kafka
        self._members: list[Member] = []

    def member(self, group: str = "g") -> Member:
        consumer = self.streams.consumer(self.topic, self._group(group))
        assert isinstance(consumer, Member)
        self._members.append(consumer)
        return consumer

    async def joined(self, group: str = "g") -> Member:
        """Returns a member that holds all partitions."""
        member = self.member(group)
        await self.read(member)
        return member

    async def append(self, *names: str, key: str = "site") -> None:
        await self.streams.append(self.topic, records(*names, key=key))

    async def append_once(self, *names: str, key: str = "site") -> list[bool]:
        return await self.streams.append_once(self.topic, records(*names, key=key))

    async def read(self, member: Member, limit: int = 100) -> list[Entry]:
        return await member.read(limit=limit, wait=self.read_seconds)

    async def lag(self) -> Lag:
        return await self.streams.lag(self.topic, self._group("g"))

    async def shared(self, *members: Member) -> None:
        """Returns once the members share all partitions equally."""

        async def sizes() -> list[int]:
            for member in members:
                await member.ack(await member.read(limit=1_000, wait=0.1))
            return [len(member.partitions) for member in members]

        even = PARTITIONS // len(members)
        await eventually(sizes, lambda found: found == [even] * len(members), seconds=10)

    async def lose_leases(self, member: Member, client: Redis) -> None:
        """Lets a member on Redis lose its leases, as if it had been delayed for too long."""
        await die(member)
        group = self._group("g")
        leases = [lease_of(self.topic, part, group) for part in range(PARTITIONS)]
        await client.delete(members_of(self.topic, group), *leases)

    def _group(self, name: str) -> str:
        """Returns a unique name: on Kafka, groups belong to the whole cluster."""
        return f"{name}-{self.topic}"

    async def close(self) -> None:
        for member in self._members:
            await member.leave()
        await self.streams.close()


def records(*names: str, key: str = "site") -> list[Record]:
    return [Record(key, name, name.encode()) for name in names]


def bodies(entries: Sequence[Entry]) -> list[str]:
    return [entry.body.decode() for entry in entries]


async def read_and_ack(member: Member, wait: float = 0.1) -> list[Entry]:
    entries = await member.read(limit=1_000, wait=wait)
    await member.ack(entries)
    return entries


async def die(member: Member) -> None:
    """Stops a member like a kill: no heartbeat, nothing released."""
    if isinstance(member, RedisConsumer):
        await member.stop_heartbeats()
    else:
        coordinator = member._consumer._coordinator
        await cancellation.cancel_and_wait(
            coordinator._coordination_task, coordinator._heartbeat_task
        )
