"""One connection with several requests under way, on a real Valkey that stalls and dies."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from subgraphs.kernel.group_commit import GroupCommit
from subgraphs.kernel.redis import connect
from subgraphs.kernel.redis_pipeline import RedisPipeline, pack
from subgraphs.kernel.redis_scripts import Call, Script, packed
from subgraphs.kernel.redis_streams import RedisStreams
from subgraphs.kernel.streams import Record
from tests.fixtures.deadline import eventually
from tests.fixtures.topics import bodies_on
from tests.fixtures.valkey import Valkey

ECHO = Script("return ARGV[1]")


@pytest.fixture
async def client(valkey: Valkey) -> AsyncIterator[Redis]:
    async with connect(valkey.url, seconds=1.0) as opened:
        yield opened


@pytest.fixture
async def pipeline(client: Redis) -> AsyncIterator[RedisPipeline]:
    made = RedisPipeline(client, [ECHO.text])
    yield made
    await made.close()


def echo(text: str) -> bytes:
    return packed(ECHO, [Call((), [text])])


async def test_many_at_once_each_get_their_own_answer_in_order(pipeline: RedisPipeline) -> None:
    done: list[int] = []

    async def ask(number: int) -> None:
        both = packed(ECHO, [Call((), [number]), Call((), ["x" * number])])
        assert await pipeline.ask(both, 2) == [str(number).encode(), b"x" * number]
        done.append(number)

    await asyncio.gather(*map(ask, range(200)))

    assert done == list(range(200))


async def test_nothing_asked_is_answered_at_once(pipeline: RedisPipeline, client: Redis) -> None:
    assert await pipeline.ask(b"", 0) == []
    await RedisStreams(client).append("t", [])
    assert await RedisStreams(client).append_once("t", []) == []


async def test_an_error_is_one_of_the_replies(pipeline: RedisPipeline) -> None:
    wrong, right = await pipeline.ask(pack(("INCR",)) + pack(("PING",)), 2)

    assert isinstance(wrong, ResponseError)
    assert right == b"PONG"


async def test_what_is_under_way_when_the_server_dies_fails_and_the_next_connects_anew(
    pipeline: RedisPipeline, valkey: Valkey
) -> None:
    await pipeline.ask(echo("a"), 1)
    under_way = [
        asyncio.create_task(pipeline.ask(pack(("BLPOP", f"nothing:{n}", 0)), 1)) for n in range(3)
    ]
    await asyncio.sleep(0.1)

    valkey.kill()

    for task in under_way:
        with pytest.raises(RedisConnectionError):
            await task
    with pytest.raises(RedisConnectionError):
        await pipeline.ask(echo("b"), 1)
    valkey.start()
    assert await pipeline.ask(echo("c"), 1) == [b"c"]


async def test_a_server_that_does_not_answer_is_given_up(pipeline: RedisPipeline) -> None:
    with pytest.raises(RedisTimeoutError):
        await pipeline.ask(pack(("BLPOP", "nothing", 0)), 1)

    assert await pipeline.ask(echo("a"), 1) == [b"a"]


async def test_a_server_that_forgot_the_scripts_is_told_again(
    pipeline: RedisPipeline, client: Redis
) -> None:
    await pipeline.ask(echo("a"), 1)
    await client.script_flush()

    with pytest.raises(RedisConnectionError):
        await pipeline.ask(echo("b"), 1)

    assert await pipeline.ask(echo("c"), 1) == [b"c"]


async def test_a_caller_who_goes_away_takes_nothing_from_the_others(
    pipeline: RedisPipeline,
) -> None:
    first, second = (asyncio.create_task(pipeline.ask(echo(text), 1)) for text in "ab")
    await asyncio.sleep(0)

    first.cancel()

    assert await second == [b"b"]


class Caller:
    """Who has records to append, and what was said of them."""

    def __init__(self, *names: str) -> None:
        self.records = [Record("site", name, name.encode()) for name in names]
        self.heard: list[object] = []

    def appended(self, outcome: object) -> None:
        self.heard.append(outcome)


async def test_groups_under_way_together_keep_the_order_of_a_key(client: Redis) -> None:
    streams = RedisStreams(client)
    commit = GroupCommit(streams, "t")
    callers = [Caller(*(f"{turn:03}-{n:02}" for n in range(60))) for turn in range(40)]
    for caller in callers:
        commit.append_once(caller)
        await asyncio.sleep(0)

    async def answered() -> int:
        return sum(len(caller.heard) for caller in callers)

    await eventually(answered, lambda count: count == 40)
    assert [caller.heard for caller in callers] == [[[True] * 60]] * 40
    found = await bodies_on(client, "t")
    assert found == [record.body for caller in callers for record in caller.records]
