"""The event stream on a real Valkey, which some of these kill."""

from collections.abc import AsyncIterator
from itertools import count
from typing import Any
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from subgraphs.kernel.redis import connect
from subgraphs.kernel.redis_streams import LEASE, RedisConsumer, RedisStreams
from subgraphs.kernel.streams import MAX_DELIVERIES, Entry, Lag, Record
from tests.fixtures.deadline import eventually
from tests.fixtures.valkey import Valkey


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


async def stored(client: Redis, topic: str) -> list[dict[bytes, bytes]]:
    """The fields of a topic's entries."""
    entries: Any = await client.xrange(topic)
    return [fields for _, fields in entries]


async def joined(streams: RedisStreams, group: str = "g") -> RedisConsumer:
    """A consumer that holds the topic."""
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


async def test_an_id_is_appended_once_under_its_key(streams: RedisStreams) -> None:
    consumer = await joined(streams)

    assert await streams.append_once("t", records("a", "b", "a")) == [True, True, False]
    assert await streams.append_once("t", records("b", "c")) == [False, True]
    assert await streams.append_once("t", records("a", key="other site")) == [True]
    assert bodies(await read(consumer)) == ["a", "b", "c", "a"]


async def test_many_are_appended_once_in_their_order(streams: RedisStreams) -> None:
    consumer = await joined(streams)
    names = [f"{number:04}" for number in range(1_200)]

    assert await streams.append_once("t", records(*names)) == [True] * 1_200
    assert await streams.append_once("t", records(*names)) == [False] * 1_200
    assert bodies(await read(consumer, 5_000)) == names


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


async def test_one_consumer_holds_the_topic_and_the_others_stand_by(
    streams: RedisStreams,
) -> None:
    holder, other = await joined(streams), streams.consumer("t", "g")
    await streams.append("t", records("a", "b"))

    assert await read(other) == []
    assert bodies(await read(holder, 1)) == ["a"]


async def test_a_holder_that_died_is_followed_when_its_lease_ends(streams: RedisStreams) -> None:
    dead, other = await joined(streams), streams.consumer("t", "g")
    await streams.append("t", records("a", "b"))
    assert bodies(await read(dead, 1)) == ["a"]

    entries = await eventually(
        lambda: other.read(limit=9, wait=1), bool, seconds=LEASE.total_seconds() + 2
    )

    assert bodies(entries) == ["a"]
    await other.ack(entries)
    assert bodies(await read(other)) == ["b"]
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


async def test_who_kills_its_readers_is_read_alone_and_then_buried(streams: RedisStreams) -> None:
    await streams.append("t", records("poison", "b", "c"))
    seen: list[list[str]] = []
    for _ in range(MAX_DELIVERIES):
        consumer = await joined(streams) if not seen else streams.consumer("t", "g")
        seen.append(bodies(await read(consumer)))
        await consumer.leave()  # stands for a death: nothing was acknowledged

    last = streams.consumer("t", "g")
    assert seen == [["poison", "b", "c"]] * 3 + [["poison"]] * (MAX_DELIVERIES - 3)
    assert await read(last) == []
    for name in "b", "c":
        entries = await read(last)
        assert bodies(entries) == [name]
        await last.ack(entries)
    assert await streams.drops("t") == {"undeliverable": 1}
    assert await streams.lag("t", "g") == Lag(0, 0, None, 1)


async def test_the_buried_keep_body_place_and_reason(streams: RedisStreams, client: Redis) -> None:
    consumer = await joined(streams)
    await streams.append("t", records("a", "b"))
    entries = await read(consumer)

    await consumer.bury(entries[0], "poison", "ValueError('no')")
    await consumer.bury(entries[0], "poison", "seen twice, buried once")

    assert await stored(client, "t:dead") == [
        {
            b"e": b"a",
            b"id": entries[0].id.encode(),
            b"reason": b"poison",
            b"detail": b"ValueError('no')",
        }
    ]
    assert await streams.drops("t") == {"poison": 1}
    assert await streams.lag("t", "g") == Lag(0, 1, entries[1].id, 1)


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
    assert await client.xlen("t") == 4

    await slow.ack([taken[0], taken[2]])
    await quick.trim()
    assert [fields[b"e"] for fields in await stored(client, "t")] == [b"b", b"c", b"d"]

    await slow.ack(taken)
    await slow.ack(await read(slow))
    await slow.trim()
    assert await client.xlen("t") == 1  # the last one stays as a mark
    assert await streams.lag("t", "slow") == Lag(0, 0, None, 0)


async def test_a_waiting_reader_is_woken(streams: RedisStreams) -> None:
    consumer = await joined(streams)
    numbers = count()

    async def append_and_read() -> list[Entry]:
        await streams.append("t", records(str(next(numbers))))
        return await consumer.read(limit=1, wait=5)

    assert bodies(await append_and_read()) == ["0"]


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
    again = await read(consumer)
    assert [(entry.body, entry.deliveries) for entry in again] == [(b"b", 2), (b"c", 2)]
    await consumer.ack(again)
    assert bodies(await read(consumer)) == ["d"]


async def test_a_group_that_was_lost_is_made_again(streams: RedisStreams, client: Redis) -> None:
    consumer = await joined(streams)
    await client.flushall()
    await streams.append("t", records(uuid4().hex))

    entries = await eventually(lambda: consumer.read(limit=9, wait=0.2), bool)

    assert len(entries) == 1
