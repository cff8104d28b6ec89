"""A group member on Redis: its heartbeat, its share of the partitions, and its leases.

Each member writes a heartbeat twice a second and learns from its reply which members are alive. The
live members, sorted by name, share the partitions in turn. A member reads a partition under a
lease, which its heartbeat renews. A live member releases a partition that is assigned to another
once it has nothing of it in flight. A dead member's lease expires.
"""

import asyncio
import secrets
import socket
import weakref
from collections.abc import Iterable, Sequence
from typing import Any

import structlog
from redis.asyncio import Redis

from subgraphs.kernel import cancellation
from subgraphs.kernel.redis.scripts import Arguments, Call, Script, run
from subgraphs.kernel.streams.interface import PARTITIONS
from subgraphs.kernel.streams.redis.in_flight import InFlight
from subgraphs.kernel.streams.redis.names import lease_of, members_of

log = structlog.stdlib.get_logger(__name__)

LEASE_SECONDS = 2.5
"""Time without a heartbeat after which a member counts as dead."""

LEASE_MS = round(LEASE_SECONDS * 1000)

HEARTBEAT_SECONDS = 0.5
"""Time between two heartbeats: several may be late before the lease expires."""

# KEYS: 1 the group's members. ARGV: 1 this member's name, 2 the lease in ms, 3 1 to stay or 0 to
# leave. Returns the names of the members that are alive.
_HEARTBEAT = Script("""
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
if ARGV[3] == '1' then
    redis.call('ZADD', KEYS[1], ms, ARGV[1])
else
    redis.call('ZREM', KEYS[1], ARGV[1])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. ms - ARGV[2])
return redis.call('ZRANGE', KEYS[1], 0, -1)
""")

# KEYS: 1 a partition's lease. ARGV: 1 the member's name, 2 the lease in ms.
# Returns 1 if the member holds the lease now, 0 if another does. An expired lease that no other
# member took is taken again: the member was delayed, and nobody read meanwhile.
_RENEW = Script("""
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
""")

# KEYS: 1 a partition's lease. ARGV: 1 the member's name. Deletes the lease if it is the member's.
_RELEASE = Script("""
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
""")


class Membership:
    """One member of a group, under a unique name.

    Attributes:
        assigned: the partitions that this member should read.
        held: the partitions whose lease this member holds, with their entries in flight.
    """

    def __init__(self, client: Redis, topic: str, group: str) -> None:
        self.name = f"{socket.gethostname()}-{secrets.token_hex(4)}"
        self.assigned: set[int] = set()
        self.held: dict[int, InFlight] = {}
        self._client = client
        self._topic = topic
        self._group = group
        self._heartbeats: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Sends the first heartbeat and keeps sending, unless that is under way already."""
        if self._heartbeats is None or self._heartbeats.done():
            await self._heartbeat()
            self._heartbeats = asyncio.create_task(_send_heartbeats(weakref.ref(self)))

    async def stop(self) -> None:
        """Stops the heartbeats without leaving the group."""
        if self._heartbeats is not None:
            await cancellation.cancel_and_wait(self._heartbeats)
            self._heartbeats = None

    async def leave(self) -> None:
        """Releases all partitions and leaves the group."""
        await self.stop()
        await self._release(self.held)
        await self._register(stays=False)
        self.assigned = set()

    async def release_surplus(self) -> None:
        """Releases the partitions that are assigned to others and have nothing in flight."""
        await self._release(
            [part for part in self.held.keys() - self.assigned if not self.held[part]]
        )

    def drop(self, partitions: Iterable[int]) -> None:
        """Forgets partitions whose lease is lost, and their entries in flight."""
        for part in partitions:
            self.held.pop(part, None)

    async def _heartbeat(self) -> None:
        names = sorted(await self._register(stays=True))
        mine = names.index(self.name.encode())
        self.assigned = {part for part in range(PARTITIONS) if part % len(names) == mine}
        held = sorted(self.held)
        renewed = await self._on_leases(_RENEW, held, [self.name, LEASE_MS])
        self.drop(part for part, is_held in zip(held, renewed, strict=True) if not is_held)

    async def _register(self, *, stays: bool) -> list[bytes]:
        call = Call([members_of(self._topic, self._group)], [self.name, LEASE_MS, int(stays)])
        (names,) = await run(self._client, _HEARTBEAT, [call])
        return list(names)

    async def _release(self, partitions: Iterable[int]) -> None:
        chosen = sorted(partitions)
        await self._on_leases(_RELEASE, chosen, [self.name])
        self.drop(chosen)

    async def _on_leases(self, script: Script, parts: Sequence[int], args: Arguments) -> list[Any]:
        calls = [Call([lease_of(self._topic, part, self._group)], args) for part in parts]
        return await run(self._client, script, calls)


async def _send_heartbeats(reference: "weakref.ref[Membership]") -> None:
    """Sends heartbeats as long as the member is referenced elsewhere."""
    while True:
        await asyncio.sleep(HEARTBEAT_SECONDS)
        member = reference()
        if member is None:
            return
        try:
            await member._heartbeat()
        except Exception as error:  # Redis is unavailable: reads report it, and heartbeats go on
            log.debug("heartbeat_failed", member=str(member.name), error=repr(error))
        del member
