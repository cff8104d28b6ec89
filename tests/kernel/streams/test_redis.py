"""What the streams on Redis do beyond what both engines do."""

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
from subgraphs.kernel.streams.redis import consumer, offsets
from subgraphs.kernel.streams.redis.names import members_of, places_of, stream_of
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


async def test_what_a_read_has_in_hand_is_given_out_though_the_server_goes(
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
    """Read so often, and no more."""
    turns = count()

    async def first_few(client: Redis, script: Script, calls: Sequence[Call]) -> list[Any]:
        if script is offsets.READ and next(turns) >= after:
            raise RedisError("away")
        return await run(client, script, calls)

    return first_few


async def test_what_another_was_given_cannot_be_acknowledged_any_more(
    engine: Engine, client: Redis
) -> None:
    paused = await engine.joined()
    await engine.append("a", "b", "c")
    taken = await engine.read(paused)
    await paused.dead_letter(taken[0], "poison", "")
    await engine.pass_over(paused, client)
    follower = engine.member()
    assert bodies(await engine.read(follower)) == ["b", "c"]

    await paused.ack(taken, {entry.id: "unknown_claim" for entry in taken})
    await paused.dead_letter(taken[1], "poison", "")

    assert (await engine.lag())[:4] == (0, 2, taken[1].id, 1)
    assert await engine.streams.drops(engine.topic) == {"poison": 1}


async def test_who_was_only_held_up_goes_on(engine: Engine, client: Redis) -> None:
    paused = await engine.joined()
    await engine.append("a", "b")
    taken = await engine.read(paused)
    await engine.pass_over(paused, client)

    await paused.ack(taken[:1])

    assert (await engine.lag())[:3] == (0, 1, taken[1].id)
    assert await engine.read(paused) == []
    await paused.ack(taken[1:])
    assert await engine.lag() == Lag(0, 0, None, 0)


async def test_the_tries_of_one_are_not_those_of_the_next(engine: Engine) -> None:
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

    given = [(entry.body, entry.deliveries) for entry in (slow, b, c)]
    assert given == [(b"slow", MAX_DELIVERIES), (b"b", SUSPECT_DELIVERIES + 1), (b"c", 1)]


async def test_what_is_said_of_an_entry_waits_for_those_before_it(engine: Engine) -> None:
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


async def test_an_acknowledgement_whose_answer_was_lost_counts_once(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = await engine.joined()
    await engine.append("a", "b", "c")
    a, b, c = await engine.read(member)
    monkeypatch.setattr("subgraphs.kernel.streams.redis.consumer.run", without_an_answer)
    with pytest.raises(RedisError, match="lost"):
        await member.ack([a], {a.id: "unknown_claim"})
    monkeypatch.undo()

    await member.ack([a, b], {a.id: "unknown_claim", b.id: "unknown_claim"})

    assert await engine.streams.drops(engine.topic) == {"unknown_claim": 2}
    assert (await engine.lag())[:3] == (0, 1, c.id)


async def without_an_answer(client: Redis, script: Script, calls: Sequence[Call]) -> None:
    await run(client, script, calls)
    raise RedisError("lost")


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


async def test_a_burial_that_could_not_be_said_is_said_by_the_next_read(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await engine.append("poison", "b")
    for _ in range(MAX_DELIVERIES):
        member = engine.member()
        await engine.read(member)
        await member.leave()
    last = engine.member()
    await last.read(limit=0, wait=0)
    monkeypatch.setattr(last, "_commit", gone)
    with pytest.raises(RedisError, match="away"):
        await engine.read(last)
    monkeypatch.undo()

    assert await engine.read(last) == []
    assert bodies(await engine.read(last)) == ["b"]
    assert await engine.streams.drops(engine.topic) == {"undeliverable": 1}


async def gone() -> None:
    raise RedisError("away")


async def test_trimming_leaves_what_is_not_acknowledged(engine: Engine, client: Redis) -> None:
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


async def test_many_are_let_go_in_steps(engine: Engine, client: Redis) -> None:
    member = await engine.joined()
    await member.trim()  # now the server knows how
    await engine.append(*map(str, range(25_000)))
    await member.ack(await engine.read(member, 24_999 + 16))
    await engine.append("last")
    await die(member)  # its beats would count
    await client.config_resetstat()

    await member.trim()

    assert await bodies_on(client, engine.topic) == [b"last"]
    stats: Any = await client.info("commandstats")
    calls = [stats[f"cmdstat_{name}"]["calls"] for name in ("eval", "evalsha")]
    assert calls == [4, PARTITIONS - 1]


async def test_a_new_group_on_a_trimmed_stream_knows_how_far_behind_it_is(engine: Engine) -> None:
    quick = await engine.joined("quick")
    await engine.append("a", "b", "c")
    await quick.ack((await engine.read(quick))[:2])
    await quick.trim()
    assert (await engine.lag())[:2] == (1, 0)

    late = engine.member()
    assert bodies(await engine.read(late)) == ["c"]

    assert (await engine.lag())[:2] == (0, 1)


async def test_a_stream_that_was_lost_while_the_places_stayed(
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


async def test_places_that_were_lost_while_the_stream_stayed(engine: Engine, client: Redis) -> None:
    member = await engine.joined()
    await engine.append("a", "b")
    taken = await engine.read(member)
    await client.delete(places_of(engine.topic, partition_of("site")))

    await member.ack(taken)

    assert (await engine.lag())[:2] == (2, 0)
    assert bodies(await engine.read(member)) == ["a", "b"]


async def test_what_is_pending_and_was_trimmed_by_others_is_passed(
    engine: Engine, client: Redis
) -> None:
    member = await engine.joined()
    await engine.append("a", "b")
    await engine.read(member)
    await member.leave()
    await engine.append("c")
    await client.xtrim(stream_of(engine.topic, partition_of("site")), maxlen=1, approximate=False)

    follower = engine.member()

    assert [(it.body, it.deliveries) for it in await engine.read(follower)] == [(b"c", 1)]
    assert (await engine.lag())[:2] == (0, 1)


async def test_what_others_trimmed_does_not_wait(engine: Engine, client: Redis) -> None:
    member = await engine.joined()
    await engine.append("a")
    await member.ack(await engine.read(member))
    await engine.append("b", "c", "d")

    await client.xtrim(stream_of(engine.topic, partition_of("site")), maxlen=1, approximate=False)

    assert (await engine.lag())[:2] == (1, 0)


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
    monkeypatch.setattr("subgraphs.kernel.streams.dedupe.time", clock)
    known = []
    await engine.append_once("a")
    for hours in 1, 24.9, 25.1, 31:
        now = 1_000_000.0 + hours * 3600
        names = dedupe.windows(stream)
        mark = dedupe.mark_of(Record("site", "a", b""))
        answers = [await client.smismember(name, [mark]) for name in names]
        known.append([1] in answers)

    assert known == [True, True, True, False]
    first = dedupe.windows(stream, 1_000_000.0)[0]
    assert 24 * 3600 < await client.ttl(first) <= 25 * 3600
    await engine.append_once(*map(str, range(5_000)))
    used: Any = await client.memory_usage(dedupe.windows(stream)[0], samples=0)
    assert used / 5_000 < 40


async def test_who_leaves_in_the_middle_of_a_beat_is_gone(
    engine: Engine, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "BEAT", 0)

    async with asyncio.timeout(30):
        for turn in range(20):
            member = engine.streams.consumer("t", "g")
            await member.read(limit=1, wait=0)
            await asyncio.sleep(turn / 5_000)
            await member.leave()

    assert await client.zcard(members_of("t", "g")) == 0
