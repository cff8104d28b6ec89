"""The event stream on a real Valkey, which some of these kill."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from subgraphs.kernel.redis import connect
from subgraphs.kernel.redis_consumer import BEAT, LEASE, RedisConsumer
from subgraphs.kernel.redis_streams import RedisStreams
from subgraphs.kernel.streams import (
    MAX_DELIVERIES,
    PARTITIONS,
    DeadLetter,
    Entry,
    Lag,
    Record,
    partition_of,
)
from tests.fixtures.deadline import eventually
from tests.fixtures.topics import bodies_on
from tests.fixtures.valkey import Valkey

KEYS = [next(f"{n}" for n in count() if partition_of(f"{n}") == p) for p in range(PARTITIONS)]
"""A key of each partition."""


@pytest.fixture
async def client(valkey: Valkey) -> AsyncIterator[Redis]:
    async with connect(valkey.url) as opened:
        yield opened


@pytest.fixture
def streams(client: Redis) -> RedisStreams:
    return RedisStreams(client)


def records(*names: str, key: str = "site") -> list[Record]:
    return [Record(key, name, name.encode()) for name in names]


def bodies(entries: list[Entry]) -> list[str]:
    return [entry.body.decode() for entry in entries]


async def read(consumer: RedisConsumer, limit: int = 100) -> list[Entry]:
    return await consumer.read(limit=limit, wait=0)


async def joined(streams: RedisStreams, group: str = "g") -> RedisConsumer:
    """A consumer that holds all there is to hold."""
    consumer = streams.consumer("t", group)
    await read(consumer)
    return consumer


async def test_what_was_appended_is_read_in_order(streams: RedisStreams) -> None:
    consumer = await joined(streams)

    await streams.append("t", records("a", "b"))
    await streams.append("t", records("c"))

    entries = await read(consumer)
    assert bodies(entries) == ["a", "b", "c"]
    assert [entry.deliveries for entry in entries] == [1, 1, 1]
    assert [entry.id for entry in entries] == sorted(entry.id for entry in entries)


async def test_a_group_begins_with_what_was_there_before_it(streams: RedisStreams) -> None:
    await streams.append("t", records("a"))

    assert bodies(await streams.consumer("t", "g").read(limit=9, wait=1)) == ["a"]


async def test_a_read_takes_from_all_partitions_alike(streams: RedisStreams) -> None:
    consumer = await joined(streams)
    many = [str(n) for n in range(100)]
    for key in KEYS:
        await streams.append("t", records(*many, key=key))

    entries = await read(consumer, 32)
    await consumer.ack(entries)

    assert sorted(bodies(entries)) == ["0"] * 16 + ["1"] * 16
    rest = [len(await read(consumer, 100)) for _ in range(2)]
    assert rest == [96, 96]  # six of each; the same ones again, for they were not acknowledged


async def test_a_read_is_filled_from_the_partition_that_has_much(streams: RedisStreams) -> None:
    consumer = await joined(streams)
    many = [f"{n:03}" for n in range(300)]
    await streams.append("t", records(*many, key=KEYS[3]))
    await streams.append("t", records("one", key=KEYS[5]))

    entries = await read(consumer, 200)

    mine = [body for body in bodies(entries) if body != "one"]
    assert mine == many[: len(mine)]
    assert 175 <= len(entries) <= 200
    assert len(entries) == len(mine) + 1


async def test_an_id_is_appended_once_under_its_key(streams: RedisStreams) -> None:
    consumer = await joined(streams)

    assert await streams.append_once("t", records("a", "b", "a")) == [True, True, False]
    assert await streams.append_once("t", records("b", "c")) == [False, True]
    assert await streams.append_once("t", records("a", key="other site")) == [True]
    assert sorted(bodies(await read(consumer))) == ["a", "a", "b", "c"]


async def test_many_are_appended_once_in_their_order(streams: RedisStreams) -> None:
    consumer = await joined(streams)
    names = [f"{number:05}" for number in range(10_000)]

    assert await streams.append_once("t", records(*names)) == [True] * 10_000
    assert await streams.append_once("t", records(*names)) == [False] * 10_000
    assert bodies(await read(consumer, 20_000)) == names


async def test_what_is_not_acknowledged_comes_again_before_all_else(
    streams: RedisStreams,
) -> None:
    first = await joined(streams)
    await streams.append("t", records("a", "b", "c", "d"))
    taken = await read(first, 3)
    await first.ack(taken[:1])
    await first.leave()

    second = streams.consumer("t", "g")
    again = await read(second)
    await second.ack(again)

    assert [(entry.body, entry.deliveries) for entry in again] == [(b"b", 2), (b"c", 2)]
    assert bodies(await read(second)) == ["d"]


async def read_and_ack(consumer: RedisConsumer) -> list[str]:
    entries = await consumer.read(limit=1_000, wait=0.1)
    await consumer.ack(entries)
    return bodies(entries)


async def shared(*members: RedisConsumer) -> None:
    """Wait until each member holds as much as any other, and together they hold all."""

    async def parts() -> list[int]:
        for member in members:
            await read_and_ack(member)
        return [len(member.partitions) for member in members]

    even = PARTITIONS // len(members)
    await eventually(parts, lambda sizes: sizes == [even] * len(members), seconds=3)


async def test_members_share_the_partitions(streams: RedisStreams) -> None:
    one, two = await joined(streams), streams.consumer("t", "g")
    await shared(one, two)

    for key in KEYS:
        await streams.append("t", records(key, key=key))
    of_one, of_two = bodies(await read(one)), bodies(await read(two))

    assert len(of_one) == len(of_two) == 8
    assert sorted(of_one + of_two) == sorted(KEYS)


async def test_a_partition_is_given_up_once_nothing_of_it_is_in_hand(
    streams: RedisStreams,
) -> None:
    old = await joined(streams)
    for key in KEYS:
        await streams.append("t", records("1", key=key))
    in_hand = await read(old)
    new = streams.consumer("t", "g")
    assert await new.read(limit=100, wait=2 * BEAT) == []
    for key in KEYS:
        await streams.append("t", records("2", key=key))

    await old.ack(in_hand)
    await shared(old, new)

    assert len(in_hand) == 16
    assert await streams.lag("t", "g") == Lag(0, 0, None, 0)


def die(consumer: RedisConsumer) -> None:
    """As a killed process: no sign of life, nothing given up."""
    assert consumer._beating is not None
    consumer._beating.cancel()


async def test_one_that_died_is_followed_when_its_lease_ends(streams: RedisStreams) -> None:
    dead, other = await joined(streams), streams.consumer("t", "g")
    await shared(dead, other)
    for key in KEYS:
        await streams.append("t", records("a", "b", key=key))
    taken = await read(dead, 8)
    assert bodies(taken) == ["a"] * 8
    die(dead)
    seen: list[Entry] = []

    async def drain() -> int:
        entries = await other.read(limit=100, wait=0.1)
        await other.ack(entries)
        seen.extend(entries)
        return len(seen)

    await eventually(drain, lambda n: n == 32, seconds=LEASE + 2 * BEAT)

    assert {entry.deliveries for entry in seen} == {1, 2}
    assert {entry.id for entry in seen if entry.deliveries == 2} == {it.id for it in taken}
    assert await read(dead) == []


async def test_a_late_acknowledgement_of_the_one_before_counts(streams: RedisStreams) -> None:
    paused = await joined(streams)
    await streams.append("t", records("a"))
    taken = await read(paused)
    await paused.leave()
    follower = streams.consumer("t", "g")
    assert bodies(await read(follower)) == ["a"]

    await paused.ack(taken)

    assert await read(follower) == []


async def test_members_come_and_go_and_the_order_of_a_key_stays(streams: RedisStreams) -> None:
    seen: dict[str, list[int]] = {key: [] for key in KEYS}
    members: list[asyncio.Task[None]] = []

    async def work(stopping: asyncio.Event) -> None:
        consumer = streams.consumer("t", "g")
        while not stopping.is_set():
            entries = await consumer.read(limit=40, wait=0.05)
            await asyncio.sleep(0.01)
            for entry in entries:
                key, number = entry.body.decode().split()
                seen[key].append(int(number))
            await consumer.ack(entries)
        await consumer.leave()

    stops = [asyncio.Event() for _ in range(4)]
    for number in range(200):
        if number % 50 == 0:
            members.append(asyncio.create_task(work(stops[number // 50])))
        if number in (120, 170):
            stops[number // 120].set()
        await streams.append(
            "t", [Record(key, str(number), f"{key} {number}".encode()) for key in KEYS]
        )
        await asyncio.sleep(0.01)

    async def done() -> Lag:
        return await streams.lag("t", "g")

    await eventually(done, lambda lag: lag[:2] == (0, 0))
    for stop in stops:
        stop.set()
    await asyncio.gather(*members)
    assert seen == {key: [*range(200)] for key in KEYS}


async def test_who_kills_its_readers_is_read_alone_and_then_buried(streams: RedisStreams) -> None:
    await streams.append("t", records("poison", "b", "c"))
    await streams.append("t", records("elsewhere", key=KEYS[0]))
    seen: list[list[str]] = []
    for _ in range(MAX_DELIVERIES):
        consumer = streams.consumer("t", "g")
        seen.append(sorted(bodies(await read(consumer))))
        await consumer.leave()  # stands for a death: nothing was acknowledged

    last = streams.consumer("t", "g")
    together = ["b", "c", "elsewhere", "poison"]
    assert seen == [together] * 3 + [["poison"]] * (MAX_DELIVERIES - 3)
    rest: list[list[str]] = []
    while len(rest) < 3:
        rest.append(await read_and_ack(last))
    assert sorted(rest) == [["b"], ["c"], ["elsewhere"]]
    assert await streams.drops("t") == {"undeliverable": 1}
    assert await streams.lag("t", "g") == Lag(0, 0, None, 1)


async def test_the_buried_keep_body_place_and_reason(streams: RedisStreams) -> None:
    consumer = await joined(streams)
    await streams.append("t", records("a", "b"))
    entries = await read(consumer)

    await consumer.bury(entries[0], "poison", "ValueError('no')")
    await consumer.bury(entries[0], "poison", "seen twice, buried once")

    (letter,) = await streams.dead_letters("t", 10)
    assert letter == DeadLetter(letter.id, b"a", entries[0].id, "poison", "ValueError('no')")
    assert await streams.drops("t") == {"poison": 1}
    lag = await streams.lag("t", "g")
    assert lag[:4] == Lag(0, 1, entries[1].id, 1)[:4]
    assert 0 < lag.age < 10


async def test_dead_letters_are_put_back_once(streams: RedisStreams) -> None:
    consumer = await joined(streams)
    await streams.append("t", records("a", "b"))
    for entry in await read(consumer):
        await consumer.bury(entry, "poison", "")
    letters = await streams.dead_letters("t", 10)

    assert await streams.replay("t", letters[:1]) == 1
    assert await streams.replay("t", letters[:1]) == 0

    assert bodies(await read(consumer)) == ["a"]
    assert [letter.body for letter in await streams.dead_letters("t", 10)] == [b"b"]


async def test_a_drop_counts_once_however_often_it_is_acknowledged(
    streams: RedisStreams,
) -> None:
    consumer = await joined(streams)
    await streams.append("t", records("a", "b", "c"))
    entries = await read(consumer)
    dropped = {entries[0].id: "unknown_claim", entries[2].id: "unknown_claim"}

    await consumer.ack(entries, dropped)
    await consumer.ack(entries, dropped)

    assert await streams.drops("t") == {"unknown_claim": 2}


async def test_trimming_keeps_what_any_group_still_needs(
    streams: RedisStreams, client: Redis
) -> None:
    quick, slow = await joined(streams, "quick"), await joined(streams, "slow")
    await streams.append("t", records("a", "b", "c", "d"))
    await quick.ack(await read(quick))
    taken = await read(slow, 3)

    await quick.trim()
    assert await bodies_on(client, "t") == [b"a", b"b", b"c", b"d"]

    await slow.ack([taken[0], taken[2]])
    await quick.trim()
    assert await bodies_on(client, "t") == [b"b", b"c", b"d"]

    await slow.ack(taken)
    await slow.ack(await read(slow))
    await slow.trim()
    assert await bodies_on(client, "t") == [b"d"]  # the last one stays as a mark
    assert await streams.lag("t", "slow") == Lag(0, 0, None, 0)


async def test_a_waiting_reader_is_woken(streams: RedisStreams) -> None:
    consumer = await joined(streams)
    reading = asyncio.create_task(consumer.read(limit=1, wait=5))
    await asyncio.sleep(0.1)
    started = asyncio.get_running_loop().time()

    await streams.append("t", records("a"))

    assert bodies(await reading) == ["a"]
    assert asyncio.get_running_loop().time() - started < BEAT


async def test_nothing_acknowledged_is_lost_when_the_server_is_killed(
    streams: RedisStreams, valkey: Valkey
) -> None:
    consumer = await joined(streams)
    assert await streams.append_once("t", records("a", "b", "c")) == [True, True, True]
    (first, *_) = await read(consumer)
    await consumer.ack([first])

    valkey.kill()
    valkey.start()

    assert await streams.append_once("t", records("c", "d")) == [False, True]
    await eventually(consumer.leave, lambda _: True)
    follower = streams.consumer("t", "g")
    again = await eventually(lambda: read(follower), bool)
    assert [(entry.body, entry.deliveries) for entry in again] == [(b"b", 2), (b"c", 2)]
    await follower.ack(again)
    assert bodies(await read(follower)) == ["d"]


async def test_one_who_reads_on_gets_what_comes_after_that_which_is_in_hand(
    streams: RedisStreams,
) -> None:
    consumer = await joined(streams)
    await streams.append("t", records("a", "b"))
    first = await read(consumer, limit=PARTITIONS)
    await streams.append("t", records("c", "d"))

    second = await read(consumer)
    await consumer.ack(second)
    await consumer.ack(first)

    assert bodies([*first, *second]) == ["a", "b", "c", "d"]
    assert [entry.deliveries for entry in [*first, *second]] == [1, 1, 1, 1]
    assert await streams.lag("t", "g") == Lag(0, 0, None, 0)


async def test_a_group_that_was_lost_is_made_again(streams: RedisStreams, client: Redis) -> None:
    consumer = await joined(streams)
    await client.flushall()
    await streams.append("t", records(uuid4().hex))

    entries = await eventually(lambda: consumer.read(limit=9, wait=0.2), bool)

    assert len(entries) == 1
