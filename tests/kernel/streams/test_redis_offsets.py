"""A group's offsets under random reads, acknowledgements and takeovers, compared with a model."""

import asyncio
import time
from collections import Counter
from collections.abc import Coroutine
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from subgraphs.kernel.redis import connect
from subgraphs.kernel.streams.interface import MAX_DELIVERIES, Entry
from subgraphs.kernel.streams.redis.membership import LEASE_SECONDS
from subgraphs.kernel.streams.redis.streams import RedisStreams
from tests.fixtures.valkey import Valkey
from tests.kernel.streams.engines import KEYS, Engine, Member

TWO_KEYS = KEYS[2], KEYS[9]

MAX_TAKEOVERS = MAX_DELIVERIES - 2
"""Takeovers of one run: few enough that no entry reaches `MAX_DELIVERIES`. `test_redis` covers the
limit."""

DRAIN_SECONDS = 4 * LEASE_SECONDS
"""Time to read what a run leaves. A heartbeat that was under way when its member lost its leases
may hold partitions until its lease expires."""


class Part:
    """The model of a key's partition. Its entries are numbers, in order."""

    def __init__(self) -> None:
        self.appended = 0
        self.passed = 0
        """The offset: all entries before this one are acknowledged."""
        self.delivered = 0
        """All entries before this one were delivered to some member."""
        self.reader: Member | None = None
        """The member that received the last entries."""
        self.read_upto = 0
        """All entries before this one were delivered to the reader."""
        self.acked: dict[int, str] = {}
        """Drop reasons of the entries that the reader acknowledged beyond an unacknowledged one."""

    def deliver(self, member: Member) -> int:
        """Returns the number that a member must receive next."""
        if self.reader is not member:
            self.reader, self.read_upto = member, self.passed
            self.acked.clear()
        self.read_upto += 1
        return self.read_upto - 1

    def settle(self) -> list[str]:
        """Passes the acknowledged entries; returns the drop reasons to count."""
        reasons = []
        while self.passed in self.acked:
            reasons.append(self.acked.pop(self.passed))
            self.passed += 1
        return reasons


class Offsets(RuleBasedStateMachine):
    """A group with one current member, and previous members that still acknowledge."""

    server: ClassVar[Valkey]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.client = connect(self.server.url)
        self.engine = self.run(self.new_engine())
        self.parts = {key: Part() for key in TWO_KEYS}
        self.drops: Counter[str] = Counter()
        self.member: Member = self.engine.member()
        self.in_flight: list[Entry] = []
        self.has_read = False
        self.stale: list[tuple[Member, list[Entry]]] = []

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    async def new_engine(self) -> Engine:
        return Engine(RedisStreams(connect(self.server.url)), self.server, is_kafka=False)

    @rule(key=st.sampled_from(TWO_KEYS), count=st.integers(1, 6))
    def append(self, key: str, count: int) -> None:
        part = self.parts[key]
        names = [f"{key} {part.appended + n}" for n in range(count)]
        self.run(self.engine.append(*names, key=key))
        part.appended += count

    @rule(limit=st.integers(1, 9))
    def read(self, limit: int) -> None:
        entries: list[Entry] = self.run(self.member.read(limit=limit, wait=0))
        assert len(entries) <= limit
        for entry in entries:
            part, number = self.number_of(entry)
            assert number == part.deliver(self.member), "skipped, delivered twice, or not in order"
            assert (entry.deliveries > 1) == (number < part.delivered)
        for part in self.parts.values():
            part.delivered = max(part.delivered, part.read_upto)
        self.in_flight += entries
        self.has_read = True

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data(), dropped=st.booleans())
    def ack(self, data: st.DataObject, dropped: bool) -> None:
        chosen = data.draw(st.lists(st.sampled_from(self.in_flight), min_size=1))
        reason = "dropped" if dropped else ""
        ids = [entry.id for entry in chosen if reason]
        self.run(self.member.ack(chosen, dict.fromkeys(ids, reason)))
        self.settle(self.member, chosen, reason)

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data())
    def dead_letter(self, data: st.DataObject) -> None:
        chosen = data.draw(st.sampled_from(self.in_flight))
        self.run(self.member.dead_letter(chosen, "poison", ""))
        self.settle(self.member, [chosen], "poison")

    @precondition(lambda self: self.has_read and len(self.stale) < MAX_TAKEOVERS)
    @rule()
    def take_over(self) -> None:
        """The member loses its leases, and another one takes over."""
        self.run(self.engine.lose_leases(self.member, self.client))
        self.stale.append((self.member, self.in_flight))
        self.member, self.in_flight, self.has_read = self.engine.member(), [], False

    @precondition(lambda self: self.stale)
    @rule(data=st.data())
    def ack_too_late(self, data: st.DataObject) -> None:
        """It changes nothing where the next member was given something."""
        member, entries = data.draw(st.sampled_from(self.stale))
        self.run(member.ack(entries, dict.fromkeys((it.id for it in entries), "late")))
        self.settle(member, entries, "late")

    @rule()
    def trim(self) -> None:
        self.run(self.member.trim())

    def settle(self, member: Member, entries: list[Entry], reason: str) -> None:
        for entry in entries:
            part, number = self.number_of(entry)
            if part.reader is member and number >= part.passed:
                part.acked.setdefault(number, reason)
        for part in self.parts.values():
            self.drops.update(filter(None, part.settle()))
        if member is self.member:
            acked = {entry.id for entry in entries}
            self.in_flight = [entry for entry in self.in_flight if entry.id not in acked]

    def number_of(self, entry: Entry) -> tuple[Part, int]:
        key, number = entry.body.decode().split()
        return self.parts[key], int(number)

    @invariant()
    def the_lag_is_exact(self) -> None:
        lag = self.run(self.engine.lag())
        waiting = sum(part.appended - part.delivered for part in self.parts.values())
        pending = sum(part.delivered - part.passed for part in self.parts.values())
        assert lag[:2] == (waiting, pending)
        assert lag.dead_letter_count == self.drops["poison"]

    @invariant()
    def each_drop_counts_once(self) -> None:
        assert self.run(self.engine.streams.drops(self.engine.topic)) == +self.drops

    def is_drained(self) -> bool:
        return all(part.passed == part.appended for part in self.parts.values())

    def teardown(self) -> None:
        """Checks that all unacknowledged entries are delivered, and no others."""
        deadline = time.monotonic() + DRAIN_SECONDS
        while not self.is_drained() and time.monotonic() < deadline:
            self.run(self.member.ack(self.in_flight))
            self.settle(self.member, self.in_flight, "")
            self.read(9)
        assert self.is_drained()
        assert self.run(self.member.read(limit=9, wait=0)) == []
        self.run(self.engine.close())
        self.run(self.client.aclose())
        self.runner.close()


async def without_fsync(url: str) -> None:
    """Makes the run faster: no server is killed here, so no write needs to reach the disk."""
    async with connect(url) as client:
        await client.config_set("appendfsync", "no")


def test_each_entry_is_delivered_until_it_is_acknowledged(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(without_fsync(valkey.url))
    monkeypatch.setattr(Offsets, "server", valkey, raising=False)
    run_state_machine_as_test(
        Offsets,
        settings=settings(
            max_examples=40,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
