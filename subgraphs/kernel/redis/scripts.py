"""Lua scripts: runs one script for many keys in a single round trip.

    increment = Script("return redis.call('INCR', KEYS[1])")
    first, second = await run(redis.client(), increment, [Call(["a"]), Call(["b"])])

The server runs each call as one step: no other command runs in between.
"""

from collections.abc import Sequence
from hashlib import sha1
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ResponseError

from subgraphs.kernel.redis.multiplexed import pack

Arguments = Sequence[str | bytes | int]


class Script:
    """A Lua script and the SHA-1 by which the server knows it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = sha1(text.encode(), usedforsecurity=False).hexdigest()


class Call(NamedTuple):
    """The arguments of one call. In a cluster, its keys must share a hash tag."""

    keys: Sequence[str]
    args: Arguments = ()


async def run(client: Redis, script: Script, calls: Sequence[Call]) -> list[Any]:
    """Runs a script for each call, in order and in one round trip; returns the replies.

    Each call is atomic, the sequence is not. The first call sends the script's text: a server that
    was restarted refuses a call by SHA-1 that arrives before the text, and runs those after it.

    Raises:
        redis.exceptions.ResponseError: a call failed; the calls after it have run.
    """
    replies = await _replies(client, script, calls) if calls else []
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


async def _replies(client: Redis, script: Script, calls: Sequence[Call]) -> list[Any]:
    """Does what a pipeline of redis-py does, but packs in C instead of Python."""
    (keys, args), *others = calls
    data = pack(("EVAL", script.text, len(keys), *keys, *args)) + pack_calls(script, others)
    connection = await client.connection_pool.get_connection()  # type: ignore[no-untyped-call]

    async def send() -> list[Any]:
        await connection.send_packed_command(data)
        return [await _reply(connection) for _ in calls]

    try:
        replies: list[Any] = await connection.retry.call_with_retry(
            send, lambda error: connection.disconnect(nowait=True)
        )
    except BaseException:  # unread replies must not reach the connection's next user
        await connection.disconnect(nowait=True)
        raise
    finally:
        await client.connection_pool.release(connection)
    return replies


async def _reply(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error


def pack_calls(script: Script, calls: Sequence[Call]) -> bytes:
    """Returns the calls as bytes for a server that has loaded the script."""
    return b"".join(pack(("EVALSHA", script.sha, len(keys), *keys, *args)) for keys, args in calls)
