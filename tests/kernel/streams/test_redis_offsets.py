"""What a group was given and has acknowledged, whatever its members do and however they end."""

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
from subgraphs.kernel.streams.redis.consumer import LEASE
from subgraphs.kernel.streams.redis.streams import RedisStreams
from tests.fixtures.valkey import Valkey
from tests.kernel.streams.engines import KEYS, Engine, Member

TWO_KEYS = KEYS[2], KEYS[9]

MOST_PASSED_OVER = MAX_DELIVERIES - 2
"""So often, and no entry is buried for it; `test_redis_streams` sees one that is."""

LONGEST = 4 * LEASE
"""Seconds to read what a run leaves. A beat that was under way when its member was passed over may
hold partitions for as long as a lease lasts."""


class Part:
    """What a key's partition should look like: entries are numbers, in their order."""

    def __init__(self) -> None:
        self.appended = 0
        self.passed = 0
        """All before this one are acknowledged for good."""
        self.given = 0
        """All before this one were given to some member."""
        self.reader: Member | None = None
        """Who was given something last."""
        self.upto = 0
        """All before this one were given to him."""
        self.done: dict[int, str] = {}
        """What he acknowledged beyond one that is not, and what is to be counted of it."""

    def give(self, member: Member) -> int:
        """The number that comes next for a member."""
        if self.reader is not member:
            self.reader, self.upto = member, self.passed
            self.done.clear()
        self.upto += 1
        return self.upto - 1

    def settle(self) -> list[str]:
        """Pass what is done; answers what counts now."""
        said = []
        while self.passed in self.done:
            said.append(self.done.pop(self.passed))
            self.passed += 1
        return said


class Places(RuleBasedStateMachine):
    """A group of one member at a time, and those who were it before and do not know better."""

    server: ClassVar[Valkey]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.client = connect(self.server.url)
        self.engine = self.run(self.made())
        self.parts = {key: Part() for key in TWO_KEYS}
        self.drops: Counter[str] = Counter()
        self.member: Member = self.engine.member()
        self.in_hand: list[Entry] = []
        self.has_read = False
        self.stale: list[tuple[Member, list[Entry]]] = []

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    async def made(self) -> Engine:
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
            part, number = self.place_of(entry)
            assert number == part.give(self.member), "skipped, given twice, or not in order"
            assert (entry.deliveries > 1) == (number < part.given)
        for part in self.parts.values():
            part.given = max(part.given, part.upto)
        self.in_hand += entries
        self.has_read = True

    @precondition(lambda self: self.in_hand)
    @rule(data=st.data(), dropped=st.booleans())
    def ack(self, data: st.DataObject, dropped: bool) -> None:
        chosen = data.draw(st.lists(st.sampled_from(self.in_hand), min_size=1))
        reason = "dropped" if dropped else ""
        ids = [entry.id for entry in chosen if reason]
        self.run(self.member.ack(chosen, dict.fromkeys(ids, reason)))
        self.settle(self.member, chosen, reason)

    @precondition(lambda self: self.in_hand)
    @rule(data=st.data())
    def dead_letter(self, data: st.DataObject) -> None:
        chosen = data.draw(st.sampled_from(self.in_hand))
        self.run(self.member.dead_letter(chosen, "buried", ""))
        self.settle(self.member, [chosen], "buried")

    @precondition(lambda self: self.has_read and len(self.stale) < MOST_PASSED_OVER)
    @rule()
    def pass_over(self) -> None:
        """The member is held up, and another comes."""
        self.run(self.engine.pass_over(self.member, self.client))
        self.stale.append((self.member, self.in_hand))
        self.member, self.in_hand, self.has_read = self.engine.member(), [], False

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
            part, number = self.place_of(entry)
            if part.reader is member and number >= part.passed:
                part.done.setdefault(number, reason)
        for part in self.parts.values():
            self.drops.update(filter(None, part.settle()))
        if member is self.member:
            gone = {entry.id for entry in entries}
            self.in_hand = [entry for entry in self.in_hand if entry.id not in gone]

    def place_of(self, entry: Entry) -> tuple[Part, int]:
        key, number = entry.body.decode().split()
        return self.parts[key], int(number)

    @invariant()
    def the_lag_is_true(self) -> None:
        lag = self.run(self.engine.lag())
        waiting = sum(part.appended - part.given for part in self.parts.values())
        pending = sum(part.given - part.passed for part in self.parts.values())
        assert lag[:2] == (waiting, pending)
        assert lag.dead_letter_count == self.drops["buried"]

    @invariant()
    def each_drop_counts_once(self) -> None:
        assert self.run(self.engine.streams.drops(self.engine.topic)) == +self.drops

    def is_all_done(self) -> bool:
        return all(part.passed == part.appended for part in self.parts.values())

    def teardown(self) -> None:
        """All that is not acknowledged comes, and nothing else."""
        deadline = time.monotonic() + LONGEST
        while not self.is_all_done() and time.monotonic() < deadline:
            self.run(self.member.ack(self.in_hand))
            self.settle(self.member, self.in_hand, "")
            self.read(9)
        assert self.is_all_done()
        assert self.run(self.member.read(limit=9, wait=0)) == []
        self.run(self.engine.close())
        self.run(self.client.aclose())
        self.runner.close()


def test_each_is_given_out_until_it_is_acknowledged(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Places, "server", valkey, raising=False)
    run_state_machine_as_test(
        Places,
        settings=settings(
            max_examples=40,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
