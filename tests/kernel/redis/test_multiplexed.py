"""The multiplexed connection on a real Valkey, which some tests stall or kill."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from subgraphs.kernel.redis import connect
from subgraphs.kernel.redis.multiplexed import MultiplexedConnection, pack
from subgraphs.kernel.redis.scripts import Call, Script, pack_calls
from subgraphs.kernel.streams.redis.streams import RedisStreams
from tests.fixtures.valkey import Valkey

ECHO = Script("return ARGV[1]")


@pytest.fixture
async def client(valkey: Valkey) -> AsyncIterator[Redis]:
    async with connect(valkey.url, seconds=1.0) as opened:
        yield opened


@pytest.fixture
async def connection(client: Redis) -> AsyncIterator[MultiplexedConnection]:
    made = MultiplexedConnection(client, [ECHO.text])
    yield made
    await made.close()


def echo(text: str) -> bytes:
    return pack_calls(ECHO, [Call((), [text])])


async def test_concurrent_requests_get_their_replies_in_order(
    connection: MultiplexedConnection,
) -> None:
    done: list[int] = []

    async def request(number: int) -> None:
        both = pack_calls(ECHO, [Call((), [number]), Call((), ["x" * number])])
        assert await connection.request(both, 2) == [str(number).encode(), b"x" * number]
        done.append(number)

    await asyncio.gather(*map(request, range(200)))

    assert done == list(range(200))


async def test_an_empty_request_returns_at_once(
    connection: MultiplexedConnection, client: Redis
) -> None:
    assert await connection.request(b"", 0) == []
    await RedisStreams(client).append("t", [])
    assert await RedisStreams(client).append_once("t", []) == []


async def test_an_error_is_one_of_the_replies(connection: MultiplexedConnection) -> None:
    wrong, right = await connection.request(pack(("INCR",)) + pack(("PING",)), 2)

    assert isinstance(wrong, ResponseError)
    assert right == b"PONG"


async def test_requests_under_way_fail_when_the_server_dies_and_the_next_one_reconnects(
    connection: MultiplexedConnection, valkey: Valkey
) -> None:
    await connection.request(echo("a"), 1)
    under_way = [
        asyncio.create_task(connection.request(pack(("BLPOP", f"nothing:{n}", 0)), 1))
        for n in range(3)
    ]
    await asyncio.sleep(0.1)

    valkey.kill()

    for task in under_way:
        with pytest.raises(RedisConnectionError):
            await task
    with pytest.raises(RedisConnectionError):
        await connection.request(echo("b"), 1)
    valkey.start()
    assert await connection.request(echo("c"), 1) == [b"c"]


async def test_a_request_times_out_and_the_next_one_reconnects(
    connection: MultiplexedConnection,
) -> None:
    with pytest.raises(RedisTimeoutError):
        await connection.request(pack(("BLPOP", "nothing", 0)), 1)

    assert await connection.request(echo("a"), 1) == [b"a"]


async def test_scripts_are_loaded_again_after_a_flush(
    connection: MultiplexedConnection, client: Redis
) -> None:
    await connection.request(echo("a"), 1)
    await client.script_flush()

    with pytest.raises(RedisConnectionError):
        await connection.request(echo("b"), 1)

    assert await connection.request(echo("c"), 1) == [b"c"]


async def test_a_cancelled_caller_takes_no_reply_from_the_others(
    connection: MultiplexedConnection,
) -> None:
    first, second = (asyncio.create_task(connection.request(echo(text), 1)) for text in "ab")
    await asyncio.sleep(0)

    first.cancel()

    assert await second == [b"b"]


async def test_callers_that_wait_for_a_connect_share_its_timeout() -> None:
    """The server accepts and stays silent. With own timeouts the callers would connect 8 times."""
    connects: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: connects.append(writer), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with connect(f"redis://{host}:{port}", seconds=0.3) as client:
        silent = MultiplexedConnection(client, [ECHO.text])
        requests = [silent.request(echo("a"), 1) for _ in range(8)]
        outcomes = await asyncio.gather(*requests, return_exceptions=True)
        await silent.close()
    for writer in connects:
        writer.close()
    server.close()

    assert [type(outcome) for outcome in outcomes] == [RedisTimeoutError] * 8
    assert len(connects) <= 2  # a waiting caller may connect just before its own timeout
