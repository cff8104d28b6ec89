"""One member of a group on Redis: reads its partitions and moves the group's offsets.

The member reads a partition under a lease (`membership`). When it dies, the next member receives
what it left unacknowledged, because the group's offset (`offsets`) has not passed those entries.
A late acknowledgement by the previous member then changes nothing.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from redis.asyncio import Redis

from subgraphs.kernel.redis.scripts import Call, run
from subgraphs.kernel.streams.interface import DEAD_LETTERED, MAX_DELIVERIES, Entry
from subgraphs.kernel.streams.redis import offsets
from subgraphs.kernel.streams.redis.in_flight import InFlight, Letter
from subgraphs.kernel.streams.redis.membership import HEARTBEAT_SECONDS, LEASE_MS, Membership
from subgraphs.kernel.streams.redis.names import (
    dead_letters_of,
    drops_of,
    entry_id,
    lease_of,
    offsets_of,
    partition_in,
    stream_of,
)

log = structlog.stdlib.get_logger(__name__)

_BLOCKED_POLL_SECONDS = 0.02
"""Time between two checks whether the entries in flight are acknowledged."""

_STANDBY_POLL_SECONDS = 0.25
"""Time between two attempts to read a partition that another member holds."""

_TRIM_LIMIT = 10_000
"""Entries deleted by one call. It blocks the server for 1 to 2 ms."""

_FREE_PARTS = 8
"""`read` stops when at most one part in this many of its limit is free: another round trip for the
last few entries costs more than they are worth."""


class RedisConsumer:
    """A member of a group; implements `interface.Consumer`."""

    def __init__(self, client: Redis, topic: str, group: str) -> None:
        self._client = client
        self._topic = topic
        self._group = group
        self._membership = Membership(client, topic, group)
        self._committing = asyncio.Lock()
        self._last_ids: dict[int, str] = {}
        """By partition: the stream's last ID when a read found nothing."""
        self._suspects: list[int] = []
        """Partitions whose next entry is suspect."""
        self._reads_suspect = False
        """Whether the entry in flight was delivered by itself."""
        self._turn = 0

    @property
    def partitions(self) -> set[int]:
        """The partitions whose lease this member holds."""
        return set(self._membership.held)

    async def read(self, *, limit: int, wait: float) -> list[Entry]:
        await self._membership.start()
        deadline = time.monotonic() + wait
        while True:
            # Not with the heartbeat: no read of the same partition is under way here.
            await self._membership.release_surplus()
            is_blocked = self._is_blocked()
            if is_blocked:  # perhaps by a dead letter whose commit failed
                await self._commit()
            entries = [] if is_blocked else await self._read_available(limit)
            left = deadline - time.monotonic()
            if entries or left <= 0:
                return entries
            if is_blocked:
                await asyncio.sleep(min(left, _BLOCKED_POLL_SECONDS))
            else:
                await self._wait(left)

    async def ack(self, entries: Sequence[Entry], dropped: Mapping[str, str] | None = None) -> None:
        acked: dict[int, list[str]] = {}
        for entry in entries:
            acked.setdefault(partition_in(entry.id), []).append(entry.id)
        for part, ids in acked.items():
            if in_flight := self._membership.held.get(part):
                in_flight.acknowledge(ids, dropped or {})
        await self._commit()

    async def dead_letter(self, entry: Entry, reason: str, detail: str) -> None:
        in_flight = self._membership.held.get(partition_in(entry.id))
        if in_flight and in_flight.dead_letter(Letter(entry.body, entry.id, reason, detail)):
            log.error(
                DEAD_LETTERED, topic=self._topic, entry=entry.id, reason=reason, detail=detail
            )
        await self._commit()

    async def trim(self) -> None:
        parts = sorted(self._membership.held)
        while parts:
            calls = [
                Call([stream_of(self._topic, part), offsets_of(self._topic, part)], [_TRIM_LIMIT])
                for part in parts
            ]
            replies = await run(self._client, offsets.TRIM, calls)
            parts = [part for part, has_more in zip(parts, replies, strict=True) if has_more]

    async def leave(self) -> None:
        await self._membership.leave()

    async def stop_heartbeats(self) -> None:
        """Stops the heartbeats without leaving the group, for a client that is being closed."""
        await self._membership.stop()

    # Committing

    async def _commit(self) -> None:
        """Moves the group's offsets past the acknowledged entries."""
        async with self._committing:  # a later commit that arrived first would skip this one
            while await self._commit_each():
                pass

    async def _commit_each(self) -> bool:
        """Commits each partition once; returns whether there was anything to commit."""
        held = self._membership.held
        commits = [
            (part, in_flight, commit)
            for part, in_flight in held.items()
            if (commit := in_flight.next_commit())
        ]
        if not commits:
            return False
        calls = []
        for part, _, commit in commits:
            keys = [name(self._topic, part) for name in (offsets_of, drops_of, dead_letters_of)]
            args = [self._group, self._membership.name, *commit.arguments()]
            calls.append(Call(keys, args))
        replies = await run(self._client, offsets.COMMIT, calls)
        for (part, in_flight, _), is_reader in zip(commits, replies, strict=True):
            in_flight.commit_done()
            if not is_reader and held.get(part) is in_flight:
                log.warning("partition_lost_before_commit", topic=self._topic, partition=part)
                self._membership.drop([part])
        return True

    # Reading

    async def _read_available(self, limit: int) -> list[Entry]:
        """Returns an equal share of each partition; further rounds fill up to the limit."""
        entries: list[Entry] = []
        self._reads_suspect = False
        waiting = self._partitions_in_turn() if not self._suspects else []
        while waiting and limit - len(entries) > (limit // _FREE_PARTS if entries else 0):
            left = limit - len(entries)
            chosen, waiting = waiting[:left], waiting[left:]
            share = left // len(chosen)
            try:
                replies = await self._request(chosen, share)
            except Exception:  # any: nobody would deliver again what is in `entries`
                if not entries:
                    raise
                break
            for part, reply in zip(chosen, replies, strict=True):
                found = self._received(part, reply)
                entries += found
                if len(found) == share:
                    waiting.append(part)
        if not entries and self._suspects:
            return await self._read_suspect(self._suspects.pop(0))
        return entries

    def _is_blocked(self) -> bool:
        """Whether a suspect entry requires that the entries in flight are acknowledged first."""
        return (self._reads_suspect or bool(self._suspects)) and any(self._membership.held.values())

    async def _read_suspect(self, part: int) -> list[Entry]:
        """Returns a partition's next entry by itself, so that a crash counts for it alone."""
        (reply,) = await self._request([part], 1, takes_suspect=True)
        entries = self._received(part, reply)
        self._reads_suspect = bool(entries)
        if entries and entries[0].deliveries > MAX_DELIVERIES:
            detail = f"delivered {MAX_DELIVERIES} times, never acknowledged"
            await self.dead_letter(entries[0], "undeliverable", detail)
            return []
        return entries

    def _partitions_in_turn(self) -> list[int]:
        """Returns the partitions to read, beginning with another one each time."""
        parts = sorted(self._membership.assigned)
        self._turn += 1
        first = self._turn % len(parts) if parts else 0
        return parts[first:] + parts[:first]

    async def _request(
        self, parts: Sequence[int], limit: int, *, takes_suspect: bool = False
    ) -> list[Any]:
        """Returns the replies of `offsets.READ`: what follows the entries received before."""
        me = (self._group, self._membership.name)
        calls = []
        for part in parts:
            keys = [
                stream_of(self._topic, part),
                lease_of(self._topic, part, self._group),
                offsets_of(self._topic, part),
            ]
            in_flight = self._membership.held.get(part)
            after = in_flight.after if in_flight is not None else ""
            calls.append(Call(keys, [*me, LEASE_MS, limit, int(takes_suspect), after]))
        return await run(self._client, offsets.READ, calls)

    def _received(self, part: int, reply: Any) -> list[Entry]:
        held = self._membership.held
        if reply is None:
            self._membership.drop([part])
            return []
        is_suspect, starts_anew, last_id, deliveries, found = reply
        if starts_anew or part not in held:
            held[part] = InFlight()
        if is_suspect:
            self._suspects.append(part)
        if last_id:
            self._last_ids[part] = last_id.decode()
        if not found:
            return []
        ids = [entry_id(part, stream_id) for stream_id in found[::2]]
        held[part].add(ids)
        return [Entry(id_, body, deliveries) for id_, body in zip(ids, found[1::2], strict=True)]

    async def _wait(self, seconds: float) -> None:
        """Returns when a held stream grows, or when it is time to try for further partitions."""
        held = self._membership.held
        if not held:
            await asyncio.sleep(min(seconds, _STANDBY_POLL_SECONDS))
            return
        has_all = held.keys() == self._membership.assigned
        longest = HEARTBEAT_SECONDS if has_all else _STANDBY_POLL_SECONDS
        streams: dict[Any, Any] = {
            stream_of(self._topic, part): self._last_ids.get(part, "0-0") for part in held
        }
        block = max(1, round(min(seconds, longest) * 1000))
        await self._client.xread(streams, count=1, block=block)
