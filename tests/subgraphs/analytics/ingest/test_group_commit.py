"""Many callers share appends: in order, and nobody waits for ever behind a store that hangs."""

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
    """Who has records to append, and what was said of them."""

    def __init__(self, *names: str, since: float | None = None) -> None:
        self.records = [Record("site", name, name.encode()) for name in names]
        self.since = asyncio.get_running_loop().time() if since is None else since
        self.heard: list[Sequence[bool] | str] = []

    def complete(self, outcome: Sequence[bool] | Exception) -> None:
        self.heard.append(
            type(outcome).__name__ if isinstance(outcome, Exception) else list(outcome)
        )

    async def answers(self) -> int:
        return len(self.heard)


class OneAtATime(RedisStreams):
    """Does nothing until it may."""

    appends_at_once = 1

    def __init__(self, client: Redis) -> None:
        super().__init__(client)
        self.may_append = asyncio.Event()

    async def append_once(self, topic: str, records: Sequence[Record]) -> list[bool]:
        await self.may_append.wait()
        return await super().append_once(topic, records)


async def test_who_has_waited_too_long_is_told_and_who_has_not_is_appended(valkey: Valkey) -> None:
    async with connect(valkey.url) as client:
        streams = OneAtATime(client)
        commit = GroupCommit(streams, "t", seconds=0.2)
        long = asyncio.get_running_loop().time() + 1_000
        under_way, late, patient = Caller("a"), Caller("b", "c"), Caller("d", since=long)
        commit.append_once(under_way)
        await asyncio.sleep(0)
        commit.append_once(late)
        commit.append_once(patient)

        await eventually(late.answers, lambda count: count == 1)
        streams.may_append.set()
        await eventually(patient.answers, lambda count: count == 1)

        assert [under_way.heard, late.heard, patient.heard] == [
            [[True]],
            ["TimeoutError"],
            [[True]],
        ]
        assert await bodies_on(client, "t") == [b"a", b"d"]


async def test_who_comes_while_too_many_wait_is_told_at_once(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "MAX_WAITING", 2)
    async with connect(valkey.url) as client:
        streams = OneAtATime(client)
        commit = GroupCommit(streams, "t", seconds=60)
        under_way, waits, too_many = Caller("a"), Caller("b", "c", "d"), Caller("e")
        commit.append_once(under_way)
        await asyncio.sleep(0)
        commit.append_once(waits)

        commit.append_once(too_many)
        assert too_many.heard == ["TimeoutError"]
        streams.may_append.set()
        await eventually(waits.answers, lambda count: count == 1)
        again = Caller("e")
        commit.append_once(again)
        await eventually(again.answers, lambda count: count == 1)

        assert [under_way.heard, waits.heard, again.heard] == [[[True]], [[True] * 3], [[True]]]
        assert await bodies_on(client, "t") == [b"a", b"b", b"c", b"d", b"e"]


async def test_groups_under_way_together_keep_the_order_of_a_key(valkey: Valkey) -> None:
    async with connect(valkey.url) as client:
        commit = GroupCommit(RedisStreams(client), "t", seconds=60)
        callers = [Caller(*(f"{turn:03}-{n:02}" for n in range(60))) for turn in range(40)]
        for caller in callers:
            commit.append_once(caller)
            await asyncio.sleep(0)

        for caller in callers:
            await eventually(caller.answers, lambda count: count == 1)
        assert [caller.heard for caller in callers] == [[[True] * 60]] * 40
        found = await bodies_on(client, "t")
    assert found == [record.body for caller in callers for record in caller.records]
