"""The two engines of the streams, for tests that run on both."""

from collections.abc import Sequence
from itertools import count
from typing import Protocol
from uuid import uuid4

from redis.asyncio import Redis

from subgraphs.kernel import cancellation
from subgraphs.kernel.streams.interface import PARTITIONS, Entry, Lag, Record, Streams, partition_of
from subgraphs.kernel.streams.kafka.consumer import SESSION, KafkaConsumer
from subgraphs.kernel.streams.redis.consumer import BEAT, LEASE, RedisConsumer
from subgraphs.kernel.streams.redis.names import lease_of, members_of
from tests.fixtures.deadline import eventually

KEYS = [next(f"{n}" for n in count() if partition_of(f"{n}") == p) for p in range(PARTITIONS)]
"""A key of each partition."""

Member = RedisConsumer | KafkaConsumer


class Server(Protocol):
    """Where the streams are; its data outlive a kill."""

    def start(self) -> None: ...
    def kill(self) -> None: ...


class Engine:
    """Streams with a topic of a test's own.

    Attributes:
        patience: seconds a read takes at most to see what is there.
        takeover: seconds after which a dead member's partitions are another's.
        exact: every entry's deliveries are counted, and every acknowledgement is kept by itself.
    """

    def __init__(self, streams: Streams, server: Server, *, is_kafka: bool) -> None:
        self.streams = streams
        self.server = server
        self.topic = f"t-{uuid4().hex[:12]}"
        self.patience = 2.0 if is_kafka else 0.0
        self.takeover = SESSION + 6.0 if is_kafka else LEASE + 3 * BEAT
        self.exact = not is_kafka
        self._members: list[Member] = []

    def member(self, group: str = "g") -> Member:
        made = self.streams.consumer(self.topic, self._group(group))
        assert isinstance(made, Member)
        self._members.append(made)
        return made

    async def joined(self, group: str = "g") -> Member:
        """A member that holds all there is to hold."""
        made = self.member(group)
        await self.read(made)
        return made

    async def append(self, *names: str, key: str = "site") -> None:
        await self.streams.append(self.topic, records(*names, key=key))

    async def append_once(self, *names: str, key: str = "site") -> list[bool]:
        return await self.streams.append_once(self.topic, records(*names, key=key))

    async def read(self, member: Member, limit: int = 100) -> list[Entry]:
        return await member.read(limit=limit, wait=self.patience)

    async def lag(self) -> Lag:
        return await self.streams.lag(self.topic, self._group("g"))

    async def shared(self, *members: Member) -> None:
        """Wait until each holds as much as any other, and together they hold all."""

        async def sizes() -> list[int]:
            for member in members:
                await member.ack(await member.read(limit=1_000, wait=0.1))
            return [len(member.partitions) for member in members]

        even = PARTITIONS // len(members)
        await eventually(sizes, lambda found: found == [even] * len(members), seconds=10)

    async def pass_over(self, member: Member, client: Redis) -> None:
        """As if a member on Redis had been held up for longer than its leases last."""
        await die(member)
        group = self._group("g")
        leases = [lease_of(self.topic, part, group) for part in range(PARTITIONS)]
        await client.delete(members_of(self.topic, group), *leases)

    def _group(self, name: str) -> str:
        """Kafka's groups are the whole cluster's."""
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
    """As a killed process: no sign of life, nothing given up."""
    if isinstance(member, RedisConsumer):
        await member.fall_silent()
    else:
        coordinator = member._consumer._coordinator
        await cancellation.cancel_and_wait(
            coordinator._coordination_task, coordinator._heartbeat_task
        )
