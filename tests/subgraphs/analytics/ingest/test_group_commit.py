"""Requests share appends in order, and fail after a limit while the store hangs."""

import asyncio
from collections.abc import Sequence

import pytest
from redis.asyncio import Redis

from subgraphs.analytics.ingest import group_commit
from subgraphs.analytics.ingest.group_commit import GroupCommit
from subgraphs.kernel.redis import connect
from subgraphs.kernel.streams.interface import Record
from subgraphs.kernel.streams.redis.streams import RedisStreams
from tests.fixtures.deadline import eventually
from tests.fixtures.topics import bodies_on
from tests.fixtures.valkey import Valkey


class Caller:
    """A request with records, and the outcomes it received."""

    def __init__(self, *names: str, since: float | None = None) -> None:
        self.records = [Record("site", name, name.encode()) for name in names]
        self.since = asyncio.get_running_loop().time() if since is None else since
        self.outcomes: list[Sequence[bool] | str] = []

    def complete(self, outcome: Sequence[bool] | Exception) -> None:
        self.outcomes.append(
            type(outcome).__name__ if isinstance(outcome, Exception) else list(outcome)
        )

    async def answers(self) -> int:
        return len(self.outcomes)


class OneAtATime(RedisStreams):
    """Redis streams that append one group at a time, and only once the test allows it."""

    appends_at_once = 1

    def __init__(self, client: Redis) -> None:
        super().__init__(client)
        self.may_append = asyncio.Event()

    async def append_once(self, topic: str, records: Sequence[Record]) -> list[bool]:
        await self.may_append.wait()
        return await super().append_once(topic, records)


async def test_a_late_request_fails_and_others_are_appended(valkey: Valkey) -> None:
    async with connect(valkey.url) as client:
        streams = OneAtATime(client)
        commit = GroupCommit(streams, "t", seconds=0.2)
        long = asyncio.get_running_loop().time() + 1_000
        in_flight, late, patient = Caller("a"), Caller("b", "c"), Caller("d", since=long)
        commit.append_once(in_flight)
        await asyncio.sleep(0)
        commit.append_once(late)
        commit.append_once(patient)

        await eventually(late.answers, lambda count: count == 1)
        streams.may_append.set()
        await eventually(patient.answers, lambda count: count == 1)

        assert [in_flight.outcomes, late.outcomes, patient.outcomes] == [
            [[True]],
            ["TimeoutError"],
            [[True]],
        ]
        assert await bodies_on(client, "t") == [b"a", b"d"]


async def test_a_request_fails_at_once_while_surplus_wait(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "MAX_WAITING", 2)
    async with connect(valkey.url) as client:
        streams = OneAtATime(client)
        commit = GroupCommit(streams, "t", seconds=60)
        in_flight, waits, surplus = Caller("a"), Caller("b", "c", "d"), Caller("e")
        commit.append_once(in_flight)
        await asyncio.sleep(0)
        commit.append_once(waits)

        commit.append_once(surplus)
        assert surplus.outcomes == ["TimeoutError"]
        streams.may_append.set()
        await eventually(waits.answers, lambda count: count == 1)
        again = Caller("e")
        commit.append_once(again)
        await eventually(again.answers, lambda count: count == 1)

        assert [in_flight.outcomes, waits.outcomes, again.outcomes] == [
            [[True]],
            [[True] * 3],
            [[True]],
        ]
        assert await bodies_on(client, "t") == [b"a", b"b", b"c", b"d", b"e"]


async def test_concurrent_groups_keep_the_order_of_a_key(valkey: Valkey) -> None:
    async with connect(valkey.url) as client:
        commit = GroupCommit(RedisStreams(client), "t", seconds=60)
        callers = [Caller(*(f"{turn:03}-{n:02}" for n in range(60))) for turn in range(40)]
        for caller in callers:
            commit.append_once(caller)
            await asyncio.sleep(0)

        for caller in callers:
            await eventually(caller.answers, lambda count: count == 1)
        assert [caller.outcomes for caller in callers] == [[[True] * 60]] * 40
        found = await bodies_on(client, "t")
    assert found == [record.body for caller in callers for record in caller.records]
