"""One connection with several requests under way, on a real Valkey that stalls and dies."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from subgraphs.kernel.redis import connect
from subgraphs.kernel.redis.multiplexed import RedisPipeline, pack
from subgraphs.kernel.redis.scripts import Call, Script, packed
from subgraphs.kernel.streams.redis.streams import RedisStreams
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


async def test_those_who_wait_for_a_connection_have_no_more_time_than_who_makes_it() -> None:
    """The server accepts and says nothing; if each had its own time, there would be eight tries."""
    tries: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: tries.append(writer), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with connect(f"redis://{host}:{port}", seconds=0.3) as client:
        silent = RedisPipeline(client, [ECHO.text])
        asked = [silent.ask(echo("a"), 1) for _ in range(8)]
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        await silent.close()
    for writer in tries:
        writer.close()
    server.close()

    assert [type(outcome) for outcome in outcomes] == [RedisTimeoutError] * 8
    assert len(tries) <= 2  # who was next may have begun in the moment before its own time was over
