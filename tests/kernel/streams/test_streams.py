"""The event streams on both engines: a real Valkey and a real Kafka, which one test kills."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from subgraphs.kernel.config import settings
from subgraphs.kernel.streams.event_streams import connect
from subgraphs.kernel.streams.interface import PARTITIONS, DeadLetter, Entry, Lag, Record
from tests.fixtures.deadline import eventually
from tests.fixtures.valkey import Valkey
from tests.kernel.streams.engines import KEYS, Engine, Member, bodies, die, read_and_ack


@pytest.fixture(params=["redis", "kafka"])
async def engine(
    request: pytest.FixtureRequest, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Engine]:
    monkeypatch.setenv("REDIS_URL", valkey.url)
    settings.cache_clear()
    is_kafka = request.param == "kafka"
    server = request.getfixturevalue("kafka") if is_kafka else valkey
    engine = Engine(connect(server.url), server, is_kafka=is_kafka)
    yield engine
    await engine.close()
    settings.cache_clear()


async def test_records_are_read_in_order(engine: Engine) -> None:
    member = await engine.joined()

    await engine.append("a", "b")
    await engine.append("c")

    entries = await engine.read(member)
    await member.ack(entries)
    if len(entries) < 3:  # the first records may have ended the wait
        entries += await engine.read(member)
    assert bodies(entries) == ["a", "b", "c"]
    assert [entry.deliveries for entry in entries] == [1, 1, 1]
    assert [entry.id for entry in entries] == sorted(entry.id for entry in entries)


async def test_a_new_group_begins_at_the_start(engine: Engine) -> None:
    await engine.append("a")

    assert bodies(await engine.member().read(limit=9, wait=3)) == ["a"]


async def test_a_read_returns_at_most_its_limit(engine: Engine) -> None:
    await engine.append("a", "b", "c")
    for key in KEYS:
        await engine.append("d", key=key)

    assert len(await engine.member().read(limit=2, wait=3)) == 2


async def test_an_id_is_appended_once_under_its_key(engine: Engine) -> None:
    assert await engine.append_once("a", "b", "a") == [True, True, False]
    assert await engine.append_once("b", "c") == [False, True]
    assert await engine.append_once("a", key="other site") == [True]

    assert sorted(await all_of(engine.member(), 4)) == ["a", "a", "b", "c"]


async def all_of(member: Member, count: int) -> list[str]:
    """Reads and acknowledges this many entries and checks that there are no more."""
    found: list[str] = []

    async def more() -> int:
        found.extend(bodies(await read_and_ack(member)))
        return len(found)

    await eventually(more, lambda n: n >= count)
    assert await read_and_ack(member) == []
    return found


async def test_many_records_are_appended_once_in_order(engine: Engine) -> None:
    names = [f"{number:05}" for number in range(10_000)]

    assert await engine.append_once(*names) == [True] * 10_000
    assert await engine.append_once(*names) == [False] * 10_000
    assert await all_of(engine.member(), 10_000) == names


async def test_unacknowledged_entries_are_delivered_again_first(engine: Engine) -> None:
    first = await engine.joined()
    await engine.append("a", "b", "c", "d")
    taken = await engine.read(first, 3)
    await first.ack(taken[:1])
    await first.leave()

    second = engine.member()
    again = await engine.read(second, 2)
    await second.ack(again)

    assert [(entry.body, entry.deliveries) for entry in again] == [(b"b", 2), (b"c", 2)]
    assert await all_of(second, 1) == ["d"]


async def test_a_second_read_continues_after_the_entries_in_flight(
    engine: Engine,
) -> None:
    member = await engine.joined()
    await engine.append("a", "b")
    first = await engine.read(member, 2)
    await engine.append("c", "d")

    second = await engine.read(member)
    await member.ack(second)
    await member.ack(first)

    assert bodies([*first, *second]) == ["a", "b", "c", "d"]
    assert [entry.deliveries for entry in [*first, *second]] == [1, 1, 1, 1]
    assert await engine.lag() == Lag(0, 0, None, 0)


async def test_members_share_the_partitions(engine: Engine) -> None:
    one, two = await engine.joined(), engine.member()
    await asyncio.gather(engine.shared(one, two))

    for key in KEYS:
        await engine.append(key, key=key)
    of_one, of_two = await all_of(one, 8), await all_of(two, 8)

    assert sorted(of_one + of_two) == sorted(KEYS)


async def test_a_partition_is_released_once_nothing_of_it_is_in_flight(engine: Engine) -> None:
    old = await engine.joined()
    for key in KEYS:
        await engine.append("1", key=key)
    in_flight = await engine.read(old)
    new = engine.member()
    joining = asyncio.create_task(new.read(limit=100, wait=1.0))
    await asyncio.sleep(1.0)
    assert not joining.done() or joining.result() == []

    await old.ack(in_flight)
    seen = await joining
    await new.ack(seen)
    seen += [
        entry async for entry in read_by_all(engine, [old, new], 16 - len(in_flight) - len(seen))
    ]

    assert len(old.partitions) == len(new.partitions) == 8
    assert {entry.id for entry in seen}.isdisjoint({entry.id for entry in in_flight})
    assert (await engine.lag())[:2] == (0, 0)


async def read_by_all(engine: Engine, members: list[Member], count: int) -> AsyncIterator[Entry]:
    """Reads and acknowledges with all members until this many entries came."""
    found = 0
    while found < count:
        for member in members:
            for entry in await read_and_ack(member):
                found += 1
                yield entry
    await engine.shared(*members)


async def test_others_take_over_from_a_dead_member(engine: Engine) -> None:
    dead, other = await engine.joined(), engine.member()
    await engine.shared(dead, other)
    for key in KEYS:
        await engine.append("a", "b", key=key)
    taken = await engine.read(dead, 8)
    assert taken
    await die(dead)
    seen: list[Entry] = []

    async def drain() -> int:
        seen.extend(await read_and_ack(other))
        return len(seen)

    await eventually(drain, lambda n: n == 32, seconds=engine.takeover_seconds)

    again = {entry.id for entry in seen if entry.deliveries == 2}
    assert again >= {entry.id for entry in taken}
    assert sorted(bodies(seen)) == ["a"] * 16 + ["b"] * 16
    if engine.is_exact:
        assert again == {entry.id for entry in taken}
        assert await engine.read(dead) == []


async def test_a_key_keeps_its_order_while_members_come_and_go(engine: Engine) -> None:
    seen: dict[str, list[int]] = {key: [] for key in KEYS}

    async def work(stopping: asyncio.Event) -> None:
        member = engine.member()
        while not stopping.is_set():
            entries = await member.read(limit=40, wait=0.05)
            await asyncio.sleep(0.01)
            for entry in entries:
                key, number = entry.body.decode().split()
                seen[key].append(int(number))
            await member.ack(entries)
        await member.leave()

    stops = [asyncio.Event() for _ in range(3)]
    members = []
    for number in range(120):
        if number % 40 == 0:
            members.append(asyncio.create_task(work(stops[number // 40])))
        if number == 60:
            stops[0].set()
        batch = [Record(key, str(number), f"{key} {number}".encode()) for key in KEYS]
        await engine.streams.append(engine.topic, batch)
        await asyncio.sleep(0.01)

    async def left() -> int:
        return 120 * PARTITIONS - sum(map(len, seen.values()))

    await eventually(left, lambda n: n <= 0, seconds=30)
    for stop in stops:
        stop.set()
    await asyncio.gather(*members)
    assert seen == {key: [*range(120)] for key in KEYS}


async def test_a_dead_letter_keeps_body_entry_id_and_reason(engine: Engine) -> None:
    member = await engine.joined()
    await engine.append("a", "b")
    entries = await engine.read(member)

    await member.dead_letter(entries[0], "poison", "ValueError('no')")
    await member.dead_letter(entries[0], "poison", "a second time")

    (letter,) = await engine.streams.dead_letters(engine.topic, 10)
    assert letter == DeadLetter(letter.id, b"a", entries[0].id, "poison", "ValueError('no')")
    assert await engine.streams.drops(engine.topic) == {"poison": 1}
    lag = await engine.lag()
    assert lag[:4] == Lag(0, 1, entries[1].id, 1)[:4]
    assert 0 < lag.age < 30
    await member.ack(entries)
    assert await engine.lag() == Lag(0, 0, None, 1)


async def test_dead_letters_are_replayed_once(engine: Engine) -> None:
    member = await engine.joined()
    await engine.append("a", "b")
    for entry in await engine.read(member):
        await member.dead_letter(entry, "poison", "")
    letters = await engine.streams.dead_letters(engine.topic, 10)

    assert await engine.streams.replay(engine.topic, letters[:1]) == 1
    assert await engine.streams.replay(engine.topic, letters[:1]) == 0

    assert await all_of(member, 1) == ["a"]
    left = await engine.streams.dead_letters(engine.topic, 10)
    assert [letter.body for letter in left] == [b"b"]


async def test_dead_letters_are_deleted_by_age(engine: Engine) -> None:
    member = await engine.joined()
    await engine.append("a", "b", key=KEYS[0])
    await engine.append("c", key=KEYS[1])
    for entry in await read_until(member, 3):
        await member.dead_letter(entry, "poison", "")

    await engine.streams.delete_dead_letters(
        engine.topic, before=datetime.now(UTC) - timedelta(minutes=1)
    )
    letters = await engine.streams.dead_letters(engine.topic, 10)
    await engine.streams.delete_dead_letters(
        engine.topic, before=datetime.now(UTC) + timedelta(minutes=1)
    )

    assert sorted(letter.body for letter in letters) == [b"a", b"b", b"c"]
    assert await engine.streams.dead_letters(engine.topic, 10) == []
    assert await engine.streams.replay(engine.topic, letters) == 0
    assert await engine.lag() == Lag(0, 0, None, 0)


async def read_until(member: Member, count: int) -> list[Entry]:
    entries: list[Entry] = []

    async def more() -> int:
        entries.extend(await member.read(limit=count, wait=0.1))
        return len(entries)

    await eventually(more, lambda n: n >= count)
    return entries


async def test_a_drop_counts_once_however_often_it_is_acknowledged(engine: Engine) -> None:
    member = await engine.joined()
    await engine.append("a", "b", "c")
    entries = await engine.read(member)
    dropped = {entries[0].id: "unknown_claim", entries[2].id: "unknown_claim"}

    await member.ack(entries, dropped)
    await member.ack(entries, dropped)

    assert await engine.streams.drops(engine.topic) == {"unknown_claim": 2}


async def test_trim_keeps_what_any_group_has_not_acknowledged(engine: Engine) -> None:
    quick, slow = await engine.joined("quick"), await engine.joined("slow")
    await engine.append("a", "b", "c", "d")
    await quick.ack(await engine.read(quick))
    taken = await engine.read(slow, 2)
    await slow.ack(taken[:1])

    await quick.trim()

    late = engine.member("late")
    found = bodies(await engine.read(late))
    assert found == ["b", "c", "d"]


async def test_an_append_ends_a_waiting_read(engine: Engine) -> None:
    member = await engine.joined()
    reading = asyncio.create_task(member.read(limit=1, wait=5))
    await asyncio.sleep(0.1)
    started = asyncio.get_running_loop().time()

    await engine.append("a")

    assert bodies(await reading) == ["a"]
    assert asyncio.get_running_loop().time() - started < 1.5


async def test_nothing_acknowledged_is_lost_when_the_server_is_killed(engine: Engine) -> None:
    member = await engine.joined()
    assert await engine.append_once("a", "b", "c") == [True, True, True]
    first, *_ = await engine.read(member)
    await member.ack([first])

    engine.server.kill()
    engine.server.start()

    assert await eventually(lambda: engine.append_once("c", "d"), bool) == [False, True]
    await eventually(member.leave, lambda _: True)
    successor = engine.member()
    found: list[str] = []

    async def rest() -> list[str]:
        found.extend(bodies(await read_and_ack(successor, 1.0)))
        return found

    await eventually(rest, lambda names: len(names) == 3, seconds=30)
    assert found == ["b", "c", "d"]
