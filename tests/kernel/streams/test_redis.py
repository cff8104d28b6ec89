"""Behaviour of the event streams on Redis only."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from subgraphs.kernel.redis import connect
from subgraphs.kernel.redis.scripts import Call, Script, run
from subgraphs.kernel.streams import dedupe
from subgraphs.kernel.streams.interface import (
    MAX_DELIVERIES,
    PARTITIONS,
    SUSPECT_DELIVERIES,
    Lag,
    Record,
    partition_of,
)
from subgraphs.kernel.streams.redis import consumer, membership, offsets
from subgraphs.kernel.streams.redis.names import members_of, offsets_of, stream_of
from subgraphs.kernel.streams.redis.streams import RedisStreams
from tests.fixtures.deadline import eventually
from tests.fixtures.topics import bodies_on
from tests.fixtures.valkey import Valkey
from tests.kernel.streams.engines import KEYS, Engine, bodies, die, read_and_ack


@pytest.fixture
async def client(valkey: Valkey) -> AsyncIterator[Redis]:
    async with connect(valkey.url) as opened:
        yield opened


@pytest.fixture
async def engine(valkey: Valkey) -> AsyncIterator[Engine]:
    engine = Engine(RedisStreams(connect(valkey.url)), valkey, is_kafka=False)
    yield engine
    await engine.close()


async def test_a_read_takes_equal_shares_of_all_partitions(engine: Engine) -> None:
    member = await engine.joined()
    many = [str(n) for n in range(100)]
    for key in KEYS:
        await engine.append(*many, key=key)

    entries = await engine.read(member, 32)
    await member.ack(entries)

    assert sorted(bodies(entries)) == ["0"] * 16 + ["1"] * 16
    rest = [len(await engine.read(member, 100)) for _ in range(2)]
    assert rest == [96, 96]  # six of each


async def test_a_read_is_filled_from_the_longest_partition(engine: Engine) -> None:
    member = await engine.joined()
    many = [f"{n:03}" for n in range(300)]
    await engine.append(*many, key=KEYS[3])
    await engine.append("one", key=KEYS[5])

    entries = await engine.read(member, 200)

    mine = [body for body in bodies(entries) if body != "one"]
    assert mine == many[: len(mine)]
    assert 175 <= len(entries) <= 200
    assert len(entries) == len(mine) + 1


async def test_a_read_returns_what_it_has_when_redis_fails(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = await engine.joined()
    many = [f"{n:03}" for n in range(300)]
    await engine.append(*many, key=KEYS[3])
    monkeypatch.setattr(consumer, "run", failing(after=1))

    first = await engine.read(member, 200)
    with pytest.raises(RedisError, match="away"):
        await engine.read(member, 200)
    monkeypatch.undo()
    rest = await engine.read(member, 300)

    assert bodies(first) == many[:12]  # one of 16 shares
    assert bodies(first + rest) == many


def failing(*, after: int) -> Any:
    """Returns a `run` whose reads fail after this many."""
    reads = count()

    async def run_or_fail(client: Redis, script: Script, calls: Sequence[Call]) -> list[Any]:
        if script is offsets.READ and next(reads) >= after:
            raise RedisError("away")
        return await run(client, script, calls)

    return run_or_fail


async def test_a_previous_reader_cannot_acknowledge(engine: Engine, client: Redis) -> None:
    delayed = await engine.joined()
    await engine.append("a", "b", "c")
    taken = await engine.read(delayed)
    await delayed.dead_letter(taken[0], "poison", "")
    await engine.lose_leases(delayed, client)
    successor = engine.member()
    assert bodies(await engine.read(successor)) == ["b", "c"]

    await delayed.ack(taken, {entry.id: "unknown_claim" for entry in taken})
    await delayed.dead_letter(taken[1], "poison", "")

    assert (await engine.lag())[:4] == (0, 2, taken[1].id, 1)
    assert await engine.streams.drops(engine.topic) == {"poison": 1}


async def test_a_delayed_member_continues_if_no_other_took_over(
    engine: Engine, client: Redis
) -> None:
    delayed = await engine.joined()
    await engine.append("a", "b")
    taken = await engine.read(delayed)
    await engine.lose_leases(delayed, client)

    await delayed.ack(taken[:1])

    assert (await engine.lag())[:3] == (0, 1, taken[1].id)
    assert await engine.read(delayed) == []
    await delayed.ack(taken[1:])
    assert await engine.lag() == Lag(0, 0, None, 0)


async def test_delivery_attempts_count_for_one_entry_only(engine: Engine) -> None:
    await engine.append("slow", "b")
    for _ in range(MAX_DELIVERIES - 1):
        member = engine.member()
        await engine.read(member)
        await member.leave()
    last = engine.member()

    (slow,) = await engine.read(last)
    await last.ack([slow])
    (b,) = await engine.read(last)
    await last.ack([b])
    await engine.append("c")
    (c,) = await last.read(limit=9, wait=3)

    deliveries = [(entry.body, entry.deliveries) for entry in (slow, b, c)]
    assert deliveries == [(b"slow", MAX_DELIVERIES), (b"b", SUSPECT_DELIVERIES + 1), (b"c", 1)]


async def test_drops_and_dead_letters_wait_for_the_entries_before_them(engine: Engine) -> None:
    member = await engine.joined()
    await engine.append("a", "b", "c")
    a, b, c = await engine.read(member)

    await member.ack([b], {b.id: "unknown_claim"})
    await member.dead_letter(c, "poison", "")
    before = await engine.streams.drops(engine.topic), await engine.lag()
    await member.ack([a])

    assert before[0] == {}
    assert before[1][:4] == (0, 3, a.id, 0)
    assert await engine.streams.drops(engine.topic) == {"unknown_claim": 1, "poison": 1}
    assert await engine.lag() == Lag(0, 0, None, 1)


async def test_an_acknowledgement_whose_reply_was_lost_counts_once(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = await engine.joined()
    await engine.append("a", "b", "c")
    a, b, c = await engine.read(member)
    monkeypatch.setattr("subgraphs.kernel.streams.redis.consumer.run", run_and_lose_the_reply)
    with pytest.raises(RedisError, match="lost"):
        await member.ack([a], {a.id: "unknown_claim"})
    monkeypatch.undo()

    await member.ack([a, b], {a.id: "unknown_claim", b.id: "unknown_claim"})

    assert await engine.streams.drops(engine.topic) == {"unknown_claim": 2}
    assert (await engine.lag())[:3] == (0, 1, c.id)


async def run_and_lose_the_reply(client: Redis, script: Script, calls: Sequence[Call]) -> None:
    await run(client, script, calls)
    raise RedisError("lost")


async def test_an_entry_that_crashes_its_consumers_is_dead_lettered(engine: Engine) -> None:
    await engine.append("poison", "b", "c")
    await engine.append("elsewhere", key=KEYS[0])
    seen: list[list[str]] = []
    for _ in range(MAX_DELIVERIES):
        member = engine.member()
        seen.append(sorted(bodies(await engine.read(member))))
        if seen[-1] == ["poison"]:  # and nothing is read beside it
            assert await engine.read(member) == []
        await member.leave()  # like a crash: nothing was acknowledged

    last = engine.member()
    together = ["b", "c", "elsewhere", "poison"]
    assert seen == [together] * 3 + [["poison"]] * (MAX_DELIVERIES - 3)
    rest: list[list[str]] = []
    while len(rest) < 3:
        rest.append(bodies(await read_and_ack(last)))
    assert sorted(rest) == [["b"], ["c"], ["elsewhere"]]
    assert await engine.streams.drops(engine.topic) == {"undeliverable": 1}
    assert await engine.lag() == Lag(0, 0, None, 1)


async def test_a_failed_dead_letter_is_repeated_by_the_next_read(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await engine.append("poison", "b")
    for _ in range(MAX_DELIVERIES):
        member = engine.member()
        await engine.read(member)
        await member.leave()
    last = engine.member()
    await last.read(limit=0, wait=0)
    monkeypatch.setattr(last, "_commit", away)
    with pytest.raises(RedisError, match="away"):
        await engine.read(last)
    monkeypatch.undo()

    assert await engine.read(last) == []
    assert bodies(await engine.read(last)) == ["b"]
    assert await engine.streams.drops(engine.topic) == {"undeliverable": 1}


async def away() -> None:
    raise RedisError("away")


async def test_trim_keeps_unacknowledged_entries(engine: Engine, client: Redis) -> None:
    member = await engine.joined()
    await engine.append("a", "b", "c", "d")
    taken = await engine.read(member)
    await member.ack([taken[0], taken[2]])

    await member.trim()
    assert await bodies_on(client, engine.topic) == [b"b", b"c", b"d"]

    await member.ack(taken)
    await member.trim()
    assert await bodies_on(client, engine.topic) == []
    assert await engine.lag() == Lag(0, 0, None, 0)
    await engine.append("e")
    assert (await engine.lag())[:2] == (1, 0)
    assert bodies(await engine.read(member)) == ["e"]


async def test_trim_deletes_many_entries_in_steps(engine: Engine, client: Redis) -> None:
    member = await engine.joined()
    await member.trim()  # loads the script
    await engine.append(*map(str, range(25_000)))
    await member.ack(await engine.read(member, 24_999 + 16))
    await engine.append("last")
    await die(member)  # its heartbeats would count
    await client.config_resetstat()

    await member.trim()

    assert await bodies_on(client, engine.topic) == [b"last"]
    stats: Any = await client.info("commandstats")
    calls = [stats[f"cmdstat_{name}"]["calls"] for name in ("eval", "evalsha")]
    assert calls == [4, PARTITIONS - 1]


async def test_a_new_group_on_a_trimmed_stream_has_the_right_lag(engine: Engine) -> None:
    quick = await engine.joined("quick")
    await engine.append("a", "b", "c")
    await quick.ack((await engine.read(quick))[:2])
    await quick.trim()
    assert (await engine.lag())[:2] == (1, 0)

    late = engine.member()
    assert bodies(await engine.read(late)) == ["c"]

    assert (await engine.lag())[:2] == (0, 1)


async def test_a_lost_stream_with_kept_offsets_is_read_from_its_start(
    engine: Engine, client: Redis
) -> None:
    member = await engine.joined()
    await engine.append("a", "b", "c")
    taken = await engine.read(member)
    await member.ack(taken[:1])
    await client.delete(stream_of(engine.topic, partition_of("site")))
    nothing = await engine.lag()
    await engine.append("d", "e")
    behind = await engine.lag()

    assert nothing == Lag(0, 0, None, 0)
    assert behind.waiting == 2
    assert bodies(await engine.read(member)) == ["d", "e"]
    assert await engine.read(member) == []
    await engine.append("f")
    assert (await engine.lag()).waiting == 1


async def test_lost_offsets_with_a_kept_stream_are_read_again(
    engine: Engine, client: Redis
) -> None:
    member = await engine.joined()
    await engine.append("a", "b")
    taken = await engine.read(member)
    await client.delete(offsets_of(engine.topic, partition_of("site")))

    await member.ack(taken)

    assert (await engine.lag())[:2] == (2, 0)
    assert bodies(await engine.read(member)) == ["a", "b"]


async def test_pending_entries_that_another_client_trimmed_are_passed(
    engine: Engine, client: Redis
) -> None:
    member = await engine.joined()
    await engine.append("a", "b")
    await engine.read(member)
    await member.leave()
    await engine.append("c")
    await client.xtrim(stream_of(engine.topic, partition_of("site")), maxlen=1, approximate=False)

    successor = engine.member()

    assert [(it.body, it.deliveries) for it in await engine.read(successor)] == [(b"c", 1)]
    assert (await engine.lag())[:2] == (0, 1)


async def test_entries_that_another_client_trimmed_do_not_wait(
    engine: Engine, client: Redis
) -> None:
    member = await engine.joined()
    await engine.append("a")
    await member.ack(await engine.read(member))
    await engine.append("b", "c", "d")

    await client.xtrim(stream_of(engine.topic, partition_of("site")), maxlen=1, approximate=False)

    assert (await engine.lag())[:2] == (1, 0)


async def test_a_lost_group_is_created_again(engine: Engine, client: Redis) -> None:
    member = await engine.joined()
    await client.flushall()
    await engine.append("a")

    entries = await eventually(lambda: member.read(limit=9, wait=0.2), bool)

    assert bodies(entries) == ["a"]


async def test_a_dedupe_key_is_known_for_25_hours_and_takes_few_bytes(
    engine: Engine, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, now = stream_of(engine.topic, partition_of("site")), 1_000_000.0
    clock = SimpleNamespace(time=lambda: now)
    monkeypatch.setattr("subgraphs.kernel.streams.dedupe.time", clock)
    known = []
    await engine.append_once("a")
    for hours in 1, 24.9, 25.1, 31:
        now = 1_000_000.0 + hours * 3600
        names = dedupe.key_sets(stream)
        key = dedupe.dedupe_key(Record("site", "a", b""))
        replies = [await client.smismember(name, [key]) for name in names]
        known.append([1] in replies)

    assert known == [True, True, True, False]
    first = dedupe.key_sets(stream, 1_000_000.0)[0]
    assert 24 * 3600 < await client.ttl(first) <= 25 * 3600
    await engine.append_once(*map(str, range(5_000)))
    used: Any = await client.memory_usage(dedupe.key_sets(stream)[0], samples=0)
    assert used / 5_000 < 40


async def test_a_member_that_leaves_during_a_heartbeat_stays_away(
    engine: Engine, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership, "HEARTBEAT_SECONDS", 0)

    async with asyncio.timeout(30):
        for turn in range(20):
            member = engine.streams.consumer("t", "g")
            await member.read(limit=1, wait=0)
            await asyncio.sleep(turn / 5_000)
            await member.leave()

    assert await client.zcard(members_of("t", "g")) == 0
