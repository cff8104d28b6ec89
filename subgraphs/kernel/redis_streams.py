"""The event stream on Redis streams.

Durable means `appendonly yes` and `appendfsync always`: the server answers after the write is on
disk. All keys of a topic share a hash tag, so that a cluster keeps them on one node.
"""

import asyncio
import logging
import secrets
import socket
from collections.abc import Mapping, Sequence
from datetime import timedelta

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from subgraphs.kernel import redis_scripts
from subgraphs.kernel.streams import MAX_DELIVERIES, Entry, Lag, Record

log = logging.getLogger(__name__)

REMEMBERED = timedelta(hours=25)
"""How long `append_once` knows an id; the doors refuse events older than a day."""

LEASE = timedelta(seconds=3)
"""How long a consumer that died keeps the others waiting; a live one renews with every read."""

_APPEND_AT_ONCE = 500
"""Records of one script call: about a millisecond in which the server does nothing else."""

_STAND_BY = 0.25
"""Seconds between looks whether the holder has gone."""

_BODY = "e"


class RedisStreams:
    """Topics as Redis streams."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._append_once = client.register_script(redis_scripts.APPEND_ONCE)

    async def append(self, topic: str, records: Sequence[Record]) -> None:
        async with self._client.pipeline(transaction=True) as pipe:
            for record in records:
                pipe.xadd(topic, {_BODY: record.body})
            await pipe.execute()

    async def append_once(self, topic: str, records: Sequence[Record]) -> list[bool]:
        new: list[int] = []
        for start in range(0, len(records), _APPEND_AT_ONCE):
            chunk = records[start : start + _APPEND_AT_ONCE]
            markers = [f"{{{topic}}}:once:{record.key}:{record.id}" for record in chunk]
            bodies = [record.body for record in chunk]
            new += await self._append_once(
                keys=[topic, *markers], args=[int(REMEMBERED.total_seconds()), *bodies]
            )
        return [bool(answer) for answer in new]

    def consumer(self, topic: str, group: str) -> "RedisConsumer":
        return RedisConsumer(self._client, topic, group)

    async def lag(self, topic: str, group: str) -> Lag:
        groups = await self._client.xinfo_groups(topic)
        (mine,) = (info for info in groups if info["name"] == group.encode())
        pending = await self._client.xpending(topic, group)
        dead = await self._client.xlen(_dead(topic))
        oldest = pending["min"].decode() if pending["min"] else None
        return Lag(mine["lag"] or 0, pending["pending"], oldest, dead)

    async def drops(self, topic: str) -> dict[str, int]:
        counted = await self._client.hgetall(_drops(topic))
        return {_text(reason): int(count) for reason, count in counted.items()}

    async def ping(self) -> None:
        await self._client.ping()

    async def close(self) -> None:
        await self._client.aclose()


class RedisConsumer:
    """One member of a group, under a name nobody else has."""

    def __init__(self, client: Redis, topic: str, group: str) -> None:
        self._client = client
        self._topic = topic
        self._group = group
        self._name = f"{socket.gethostname()}-{secrets.token_hex(4)}"
        self._lease = f"{{{topic}}}:lease:{group}"
        self._last_seen = "0-0"
        self._read = client.register_script(redis_scripts.READ)
        self._ack = client.register_script(redis_scripts.ACK)
        self._bury = client.register_script(redis_scripts.BURY)
        self._release = client.register_script(redis_scripts.RELEASE)

    async def read(self, *, limit: int, wait: float) -> list[Entry]:
        entries = await self._take(limit)
        if not entries and wait > 0:
            if entries is None:
                await asyncio.sleep(min(wait, _STAND_BY))
            else:
                await self._client.xread({self._topic: self._last_seen}, 1, round(wait * 1000))
            entries = await self._take(limit)
        return await self._alive(entries or [])

    async def ack(self, entries: Sequence[Entry], dropped: Mapping[str, str] | None = None) -> None:
        reasons = dropped or {}
        args = [self._group]
        for entry in entries:
            args += entry.id, reasons.get(entry.id, "")
        if entries:
            await self._ack(keys=[self._topic, _drops(self._topic)], args=args)

    async def bury(self, entry: Entry, reason: str, detail: str) -> None:
        await self._bury(
            keys=[self._topic, _drops(self._topic), _dead(self._topic)],
            args=(self._group, entry.id, reason, detail, entry.body),
        )
        log.error("buried %s of %s, %s: %s", entry.id, self._topic, reason, detail)

    async def trim(self) -> None:
        needed = []
        for group in await self._client.xinfo_groups(self._topic):
            pending = await self._client.xpending(self._topic, group["name"])
            needed.append(_order(pending["min"] or group["last-delivered-id"]))
        ms, sequence = min(needed, default=(0, 0))
        # A group that is done keeps its last one: it costs less than to name the one after.
        await self._client.xtrim(self._topic, minid=f"{ms}-{sequence}", approximate=False)

    async def leave(self) -> None:
        await self._release(keys=[self._lease], args=[self._name])

    async def _take(self, limit: int) -> list[Entry] | None:
        """What there is to read; None while another holds the topic."""
        lease = round(LEASE.total_seconds() * 1000)
        args: list[str | int] = [self._group, self._name, lease, limit]
        try:
            answer = await self._read(keys=[self._topic, self._lease], args=args)
        except ResponseError as error:
            if "NOGROUP" not in str(error):
                raise
            await self._join()
            return []
        if answer is None:
            return None
        self._last_seen, found = answer
        return [Entry(id_.decode(), body, deliveries) for id_, body, deliveries in found]

    async def _join(self) -> None:
        """Make the group, at the topic's beginning; a second maker finds it made."""
        try:
            await self._client.xgroup_create(self._topic, self._group, "0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    async def _alive(self, entries: list[Entry]) -> list[Entry]:
        spent = [entry for entry in entries if entry.deliveries > MAX_DELIVERIES]
        for entry in spent:
            await self.bury(entry, "undeliverable", f"given out {MAX_DELIVERIES} times, never done")
        return [entry for entry in entries if entry not in spent]


def _drops(topic: str) -> str:
    return f"{{{topic}}}:drops"


def _dead(topic: str) -> str:
    return f"{topic}:dead"


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode()


def _order(id_: bytes) -> tuple[int, int]:
    ms, sequence = id_.split(b"-")
    return int(ms), int(sequence)
