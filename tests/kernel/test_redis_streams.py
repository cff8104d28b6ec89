"""What the streams on Redis do beyond what both engines do."""

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from redis.asyncio import Redis

from subgraphs.kernel import markers
from subgraphs.kernel.redis import connect
from subgraphs.kernel.redis_names import stream_of
from subgraphs.kernel.redis_streams import RedisStreams
from subgraphs.kernel.streams import MAX_DELIVERIES, Lag, Record, partition_of
from tests.fixtures.deadline import eventually
from tests.fixtures.topics import bodies_on
from tests.fixtures.valkey import Valkey
from tests.kernel.engines import KEYS, Engine, bodies, read_and_ack


@pytest.fixture
async def client(valkey: Valkey) -> AsyncIterator[Redis]:
    async with connect(valkey.url) as opened:
        yield opened


@pytest.fixture
async def engine(valkey: Valkey) -> AsyncIterator[Engine]:
    made = Engine(RedisStreams(connect(valkey.url)), valkey, is_kafka=False)
    yield made
    await made.close()


async def test_a_read_takes_from_all_partitions_alike(engine: Engine) -> None:
    member = await engine.joined()
    many = [str(n) for n in range(100)]
    for key in KEYS:
        await engine.append(*many, key=key)

    entries = await engine.read(member, 32)
    await member.ack(entries)

    assert sorted(bodies(entries)) == ["0"] * 16 + ["1"] * 16
    rest = [len(await engine.read(member, 100)) for _ in range(2)]
    assert rest == [96, 96]  # six of each


async def test_a_read_is_filled_from_the_partition_that_has_much(engine: Engine) -> None:
    member = await engine.joined()
    many = [f"{n:03}" for n in range(300)]
    await engine.append(*many, key=KEYS[3])
    await engine.append("one", key=KEYS[5])

    entries = await engine.read(member, 200)

    mine = [body for body in bodies(entries) if body != "one"]
    assert mine == many[: len(mine)]
    assert 175 <= len(entries) <= 200
    assert len(entries) == len(mine) + 1


async def test_a_late_acknowledgement_of_the_one_before_counts(engine: Engine) -> None:
    paused = await engine.joined()
    await engine.append("a")
    taken = await engine.read(paused)
    await paused.leave()
    follower = engine.member()
    assert bodies(await engine.read(follower)) == ["a"]

    await paused.ack(taken)

    assert await engine.read(follower) == []


async def test_who_kills_its_readers_is_read_alone_and_then_buried(engine: Engine) -> None:
    await engine.append("poison", "b", "c")
    await engine.append("elsewhere", key=KEYS[0])
    seen: list[list[str]] = []
    for _ in range(MAX_DELIVERIES):
        member = engine.member()
        seen.append(sorted(bodies(await engine.read(member))))
        if seen[-1] == ["poison"]:  # and nothing is read along with it
            assert await engine.read(member) == []
        await member.leave()  # stands for a death: nothing was acknowledged

    last = engine.member()
    together = ["b", "c", "elsewhere", "poison"]
    assert seen == [together] * 3 + [["poison"]] * (MAX_DELIVERIES - 3)
    rest: list[list[str]] = []
    while len(rest) < 3:
        rest.append(bodies(await read_and_ack(last)))
    assert sorted(rest) == [["b"], ["c"], ["elsewhere"]]
    assert await engine.streams.drops(engine.topic) == {"undeliverable": 1}
    assert await engine.lag() == Lag(0, 0, None, 1)


async def test_trimming_leaves_one_entry_of_a_partition(engine: Engine, client: Redis) -> None:
    member = await engine.joined()
    await engine.append("a", "b", "c", "d")
    taken = await engine.read(member)
    await member.ack([taken[0], taken[2]])

    await member.trim()
    assert await bodies_on(client, engine.topic) == [b"b", b"c", b"d"]

    await member.ack(taken)
    await member.trim()
    assert await bodies_on(client, engine.topic) == [b"d"]
    assert await engine.lag() == Lag(0, 0, None, 0)


async def test_a_group_that_was_lost_is_made_again(engine: Engine, client: Redis) -> None:
    member = await engine.joined()
    await client.flushall()
    await engine.append("a")

    entries = await eventually(lambda: member.read(limit=9, wait=0.2), bool)

    assert bodies(entries) == ["a"]


async def test_an_id_is_known_for_25_hours_and_takes_few_bytes(
    engine: Engine, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, now = stream_of(engine.topic, partition_of("site")), 1_000_000.0
    clock = SimpleNamespace(time=lambda: now)
    monkeypatch.setattr("subgraphs.kernel.markers.time", clock)
    known = []
    await engine.append_once("a")
    for hours in 1, 24.9, 25.1, 31:
        now = 1_000_000.0 + hours * 3600
        names = markers.windows(stream)
        mark = markers.mark_of(Record("site", "a", b""))
        answers = [await client.smismember(name, [mark]) for name in names]
        known.append([1] in answers)

    assert known == [True, True, True, False]
    first = markers.windows(stream, 1_000_000.0)[0]
    assert 24 * 3600 < await client.ttl(first) <= 25 * 3600
    await engine.append_once(*map(str, range(5_000)))
    used: Any = await client.memory_usage(markers.windows(stream)[0], samples=0)
    assert used / 5_000 < 40
