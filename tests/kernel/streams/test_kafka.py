"""Behaviour of the event streams on Kafka only."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from typing import Any

import pytest
from aiokafka.errors import KafkaError
from redis.exceptions import RedisError

from subgraphs.kernel.redis import connect
from subgraphs.kernel.streams.interface import MAX_DELIVERIES, PARTITIONS, Lag
from subgraphs.kernel.streams.kafka.consumer import KafkaConsumer
from subgraphs.kernel.streams.kafka.streams import KafkaStreams
from tests.fixtures.deadline import eventually
from tests.fixtures.kafka import Kafka
from tests.fixtures.valkey import Valkey
from tests.kernel.streams.engines import Engine, bodies, read_and_ack


@pytest.fixture
async def engine(kafka: Kafka, valkey: Valkey) -> AsyncIterator[Engine]:
    streams = KafkaStreams(kafka.servers, connect(valkey.url, seconds=1), seconds=5)
    engine = Engine(streams, kafka, is_kafka=True)
    yield engine
    await engine.close()


async def test_an_entry_that_crashes_its_consumers_is_dead_lettered(engine: Engine) -> None:
    await engine.append("poison", "b", "c")
    seen: list[list[str]] = []
    for _ in range(MAX_DELIVERIES):
        member = engine.member()
        # The broker's first group may wait longer for its partitions than one read does.
        seen.append(bodies(await eventually(partial(engine.read, member), bool)))
        await member.leave()  # like a crash: nothing was acknowledged

    last = engine.member()
    assert seen == [["poison", "b", "c"]] * 3 + [["poison"]] * (MAX_DELIVERIES - 3)
    assert await engine.read(last) == []
    assert bodies(await read_and_ack(last, 3.0)) == ["b", "c"]
    assert await engine.streams.drops(engine.topic) == {"undeliverable": 1}
    assert await engine.lag() == Lag(0, 0, None, 1)


async def test_records_fetched_during_a_rebalance_are_read_again(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = await engine.joined()
    assert isinstance(member, KafkaConsumer)
    fetch = member._consumer.getmany

    async def rebalance_during_fetch(*parts: Any, **options: Any) -> Any:
        found = await fetch(*parts, **options)
        await member.on_revoked()
        await member.on_assigned(range(PARTITIONS))
        return found

    with monkeypatch.context() as patch:
        patch.setattr(member._consumer, "getmany", rebalance_during_fetch)
        await engine.append("a", "b")
        assert await engine.read(member) == []

    assert bodies(await engine.read(member)) == ["a", "b"]


async def test_entries_whose_delivery_could_not_be_recorded_are_delivered_by_the_next_read(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = await engine.joined()
    await engine.append("a", "b")
    monkeypatch.setattr(member, "_commit", away)
    with pytest.raises(KafkaError, match="away"):
        await engine.read(member)
    monkeypatch.undo()

    assert [(it.body, it.deliveries) for it in await read_and_ack(member, 3.0)] == [
        (b"a", 1),
        (b"b", 1),
    ]
    assert await engine.lag() == Lag(0, 0, None, 0)


async def away(*_: Any) -> None:
    raise KafkaError("away")


async def test_a_failed_dead_letter_is_repeated_by_the_next_read(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await engine.append("poison", "b")
    for _ in range(MAX_DELIVERIES):
        member = engine.member()
        await eventually(partial(engine.read, member), bool)
        await member.leave()
    last = engine.member()
    monkeypatch.setattr(last, "dead_letter", away)
    with pytest.raises(KafkaError, match="away"):
        await engine.read(last)
    monkeypatch.undo()

    assert await engine.read(last) == []
    assert bodies(await read_and_ack(last, 3.0)) == ["b"]
    assert await engine.streams.drops(engine.topic) == {"undeliverable": 1}


async def test_a_failed_request_for_offsets_is_repeated(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = await engine.joined()
    assert isinstance(member, KafkaConsumer)
    committed = member._cluster.committed
    replies: Iterator[Callable[..., Awaitable[Any]]] = iter([away, committed])
    monkeypatch.setattr(member._cluster, "committed", lambda *of: next(replies)(*of))
    await member.on_revoked()

    await member.on_assigned(range(PARTITIONS))

    await engine.append("a")
    assert bodies(await engine.read(member)) == ["a"]


async def test_uncounted_drops_are_counted_later(engine: Engine, valkey: Valkey) -> None:
    member = await engine.joined()
    await engine.append("a", "b")
    a, b = await engine.read(member)
    valkey.kill()
    with pytest.raises(RedisError):
        await member.ack([a], {a.id: "unknown_claim"})
    valkey.start()

    await member.ack([b], {b.id: "bot_too_fast"})

    assert await engine.streams.drops(engine.topic) == {"unknown_claim": 1, "bot_too_fast": 1}


async def test_ping_returns(engine: Engine) -> None:
    async with asyncio.timeout(5):
        await engine.streams.ping()


async def test_without_redis_events_are_accepted_and_not_deduplicated(
    engine: Engine, valkey: Valkey
) -> None:
    assert await engine.append_once("a", "a", "b") == [True, False, True]

    valkey.kill()

    assert await engine.append_once("a", "c") == [True, True]
    assert bodies(await read_and_ack(engine.member(), 3.0)) == ["a", "b", "a", "c"]
