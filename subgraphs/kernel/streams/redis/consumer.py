"""One member of a group on Redis: which partitions are its own, and what is read off them.

Members tell the server twice a second that they live, and deal the partitions out among those that
do, by their names' order. A partition is read under a lease that the same beat renews. Who is dealt
one that another holds waits for it: a living holder gives it up once what it read is acknowledged,
a dead one's lease ends by itself. What it had in hand comes again to who follows it, since the
group's place (`redis_places`) has not passed it; what it still acknowledges then changes nothing.
"""

import asyncio
import logging
import secrets
import socket
import time
import weakref
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from redis.asyncio import Redis

from subgraphs.kernel import cancellation
from subgraphs.kernel.redis import scripts
from subgraphs.kernel.redis.scripts import Arguments, Call, Script, run
from subgraphs.kernel.streams.interface import MAX_DELIVERIES, PARTITIONS, Entry
from subgraphs.kernel.streams.redis import offsets
from subgraphs.kernel.streams.redis.in_flight import Commit, Hand, Letter
from subgraphs.kernel.streams.redis.names import (
    dead_of,
    drops_of,
    entry_id,
    lease_of,
    members_of,
    partition_in,
    places_of,
    stream_of,
)

log = logging.getLogger(__name__)

LEASE = 2.5
"""Seconds after which a consumer that is not heard of counts as dead."""

BEAT = 0.5
"""Seconds between two signs of life: some may come late before the lease ends."""

_GLANCE = 0.02
"""Seconds between looks whether what is in hand is done."""

STAND_BY = 0.25
"""Seconds between looks whether a partition is free that this member was dealt."""

_LEASE_MS = round(LEASE * 1000)

_TRIMMED_AT_ONCE = 10_000
"""Entries; the server does nothing else for the millisecond or two that this takes."""

_GOOD_ENOUGH = 8
"""A read goes on until no more than one part in so many of its limit is free: a round trip for the
last few would cost more than they are worth."""


class RedisConsumer:
    """A member under a name nobody else has."""

    def __init__(self, client: Redis, topic: str, group: str) -> None:
        self._client = client
        self._topic = topic
        self._group = group
        self._name = f"{socket.gethostname()}-{secrets.token_hex(4)}"
        self._dealt: set[int] = set()
        self._held: set[int] = set()
        self._hands: dict[int, Hand] = {}
        self._committing = asyncio.Lock()
        self._last_seen: dict[int, str] = {}
        self._suspects: list[int] = []
        self._is_alone = False
        self._turn = 0
        self._beating: asyncio.Task[None] | None = None

    @property
    def partitions(self) -> set[int]:
        """Those that it holds."""
        return set(self._held)

    async def read(self, *, limit: int, wait: float) -> list[Entry]:
        if self._beating is None or self._beating.done():
            await self._beat()
            self._beating = asyncio.create_task(_keep_beating(weakref.ref(self)))
        deadline = time.monotonic() + wait
        while True:
            await self._give_up_surplus()
            is_held_up = self._is_held_up()
            if is_held_up:  # by what we buried, and could not say so
                await self._commit()
            entries = [] if is_held_up else await self._take(limit)
            left = deadline - time.monotonic()
            if entries or left <= 0:
                return entries
            await (asyncio.sleep(min(left, _GLANCE)) if is_held_up else self._wait(left))

    async def ack(self, entries: Sequence[Entry], dropped: Mapping[str, str] | None = None) -> None:
        done: dict[int, list[str]] = {}
        for entry in entries:
            done.setdefault(partition_in(entry.id), []).append(entry.id)
        for part, ids in done.items():
            if hand := self._hands.get(part):
                hand.done(ids, dropped or {})
        await self._commit()

    async def dead_letter(self, entry: Entry, reason: str, detail: str) -> None:
        hand = self._hands.get(partition_in(entry.id))
        if hand and hand.dead_letter(Letter(entry.body, entry.id, reason, detail)):
            log.error("buried %s of %s, %s: %s", entry.id, self._topic, reason, detail)
        await self._commit()

    async def trim(self) -> None:
        parts = sorted(self._held)
        while parts:
            calls = [
                Call(
                    [stream_of(self._topic, part), places_of(self._topic, part)], [_TRIMMED_AT_ONCE]
                )
                for part in parts
            ]
            answers = await run(self._client, offsets.TRIM, calls)
            parts = [part for part, more in zip(parts, answers, strict=True) if more]

    async def leave(self) -> None:
        await self.fall_silent()
        await self._release(self._held)
        await self._tell(stays=False)
        self._dealt = set()

    async def fall_silent(self) -> None:
        """Give no more signs of life; it is not said that we leave."""
        if self._beating is not None:
            await cancellation.cancel_and_wait(self._beating)
            self._beating = None

    # Who is at work

    async def _beat(self) -> None:
        """Say that we live, hear who else does, and keep our leases."""
        names = sorted(await self._tell(stays=True))
        mine = names.index(self._name.encode())
        self._dealt = {part for part in range(PARTITIONS) if part % len(names) == mine}
        held = sorted(self._held)
        renewed = await self._on_leases(scripts.RENEW, held, [self._name, _LEASE_MS])
        self._forget(part for part, still in zip(held, renewed, strict=True) if not still)

    async def _tell(self, *, stays: bool) -> list[bytes]:
        told = (self._name, _LEASE_MS, int(stays))
        call = Call([members_of(self._topic, self._group)], told)
        (names,) = await run(self._client, scripts.BEAT, [call])
        return list(names)

    async def _give_up_surplus(self) -> None:
        # Here and not with the beat: no read of the same partition is under way now.
        await self._release({part for part in self._held - self._dealt if not self._hands[part]})

    async def _release(self, partitions: Iterable[int]) -> None:
        chosen = sorted(partitions)
        await self._on_leases(scripts.RELEASE, chosen, [self._name])
        self._forget(chosen)

    async def _on_leases(self, script: Script, parts: Sequence[int], args: Arguments) -> list[Any]:
        calls = [Call([lease_of(self._topic, part, self._group)], args) for part in parts]
        return await run(self._client, script, calls)

    def _forget(self, partitions: Iterable[int]) -> None:
        for part in partitions:
            self._held.discard(part)
            self._hands.pop(part, None)

    # Progress

    async def _commit(self) -> None:
        """Move the group's places past what is done."""
        async with self._committing:  # one that overtook another would be taken for done
            while True:
                asked = [
                    (part, hand, commit)
                    for part, hand in self._hands.items()
                    if (commit := hand.commit())
                ]
                if not asked:
                    return
                calls = [Call(self._told(part), self._says(commit)) for part, _, commit in asked]
                answers = await run(self._client, offsets.COMMIT, calls)
                for (part, hand, _), is_ours in zip(asked, answers, strict=True):
                    hand.settled()
                    if not is_ours and self._hands.get(part) is hand:
                        log.warning(
                            "%s of %s went to another before it was done", part, self._topic
                        )
                        self._forget([part])

    def _told(self, part: int) -> list[str]:
        return [name(self._topic, part) for name in (places_of, drops_of, dead_of)]

    def _says(self, commit: Commit) -> Arguments:
        return [self._group, self._name, *commit.arguments()]

    # Reading

    async def _take(self, limit: int) -> list[Entry]:
        """What there is, from all partitions alike; another round for those that have more."""
        entries: list[Entry] = []
        self._is_alone = False
        waiting = self._in_turn() if not self._suspects else []
        while waiting and limit - len(entries) > (limit // _GOOD_ENOUGH if entries else 0):
            left = limit - len(entries)
            asked, waiting = waiting[:left], waiting[left:]
            share = left // len(asked)
            try:
                answers = await self._ask(asked, share)
            except Exception:  # whatever it is: nobody would be given again what is in hand
                if not entries:
                    raise
                break
            for part, answer in zip(asked, answers, strict=True):
                found = self._received(part, answer)
                entries += found
                if len(found) == share:
                    waiting.append(part)
        if not entries and self._suspects:
            return await self._take_suspect(self._suspects.pop(0))
        return entries

    def _is_held_up(self) -> bool:
        """Whether what is in hand must be done first, for it or what comes next may kill us."""
        return (self._is_alone or bool(self._suspects)) and any(self._hands.values())

    async def _take_suspect(self, part: int) -> list[Entry]:
        """The next entry of a partition, by itself: should it kill us, it takes no other along."""
        (answer,) = await self._ask([part], 1, is_alone=True)
        entries = self._received(part, answer)
        self._is_alone = bool(entries)
        if entries and entries[0].deliveries > MAX_DELIVERIES:
            detail = f"given out {MAX_DELIVERIES} times, never done"
            await self.dead_letter(entries[0], "undeliverable", detail)
            return []
        return entries

    def _in_turn(self) -> list[int]:
        """The partitions to read, another one first every time."""
        parts = sorted(self._dealt)
        self._turn += 1
        first = self._turn % len(parts) if parts else 0
        return parts[first:] + parts[:first]

    async def _ask(self, parts: Sequence[int], limit: int, *, is_alone: bool = False) -> list[Any]:
        """What comes after that which was given out before, though it may not be acknowledged."""
        calls = []
        for part in parts:
            names = [
                stream_of(self._topic, part),
                lease_of(self._topic, part, self._group),
                places_of(self._topic, part),
            ]
            hand = self._hands.get(part)
            after = hand.after if hand is not None else ""
            args = (self._group, self._name, _LEASE_MS, limit, int(is_alone), after)
            calls.append(Call(names, args))
        return await run(self._client, offsets.READ, calls)

    def _received(self, part: int, answer: Any) -> list[Entry]:
        if answer is None:
            self._forget([part])
            return []
        self._held.add(part)
        is_suspect, begins_anew, last, deliveries, found = answer
        if begins_anew or part not in self._hands:
            self._hands[part] = Hand()
        if is_suspect:
            self._suspects.append(part)
        if last:
            self._last_seen[part] = last.decode()
        if not found:
            return []
        ids = [entry_id(part, place) for place in found[::2]]
        self._hands[part].give(ids)
        return [Entry(id_, body, deliveries) for id_, body in zip(ids, found[1::2], strict=True)]

    async def _wait(self, seconds: float) -> None:
        """Until something is appended to what we hold, or there may be more to hold."""
        if not self._held:
            await asyncio.sleep(min(seconds, STAND_BY))
            return
        longest = BEAT if self._held == self._dealt else STAND_BY
        streams: dict[Any, Any] = {
            stream_of(self._topic, part): self._last_seen.get(part, "0-0") for part in self._held
        }
        block = max(1, round(min(seconds, longest) * 1000))
        await self._client.xread(streams, count=1, block=block)


async def _keep_beating(reference: "weakref.ref[RedisConsumer]") -> None:
    """Beat for a consumer as long as somebody has it."""
    while True:
        await asyncio.sleep(BEAT)
        consumer = reference()
        if consumer is None:
            return
        try:
            await consumer._beat()
        except Exception as error:  # the store is away: the reader will say so, and we go on
            log.debug("no sign of life: %r", error)
        del consumer
