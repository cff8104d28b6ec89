"""What the streams on Redis do in one step: Lua, run by the server, nothing in between."""

from collections.abc import Sequence
from hashlib import sha1
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ResponseError

from subgraphs.kernel.redis.multiplexed import pack

Arguments = Sequence[str | bytes | int]


class Script:
    """A script under the name the server knows it by."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = sha1(text.encode(), usedforsecurity=False).hexdigest()


class Call(NamedTuple):
    """One run of a script; its keys share a hash tag."""

    keys: Sequence[str]
    args: Arguments


async def run(client: Redis, script: Script, calls: Sequence[Call]) -> list[Any]:
    """Run a script for each call, in their order and in one round trip.

    Each call is one step, all of them together are not. The first one brings the text along: a
    server that was started anew would refuse those that come before it is told, and do the others.
    """
    answers = await _run(client, script, calls) if calls else []
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return answers


async def _run(client: Redis, script: Script, calls: Sequence[Call]) -> list[Any]:
    """As redis-py's pipeline does, which packs argument by argument in Python."""
    (keys, args), *others = calls
    data = pack(("EVAL", script.text, len(keys), *keys, *args)) + packed(script, others)
    connection = await client.connection_pool.get_connection()  # type: ignore[no-untyped-call]

    async def ask() -> list[Any]:
        await connection.send_packed_command(data)
        return [await _reply(connection) for _ in calls]

    try:
        answers: list[Any] = await connection.retry.call_with_retry(
            ask, lambda error: connection.disconnect(nowait=True)
        )
    except BaseException:  # replies that nobody waits for must not be another's
        await connection.disconnect(nowait=True)
        raise
    finally:
        await client.connection_pool.release(connection)
    return answers


async def _reply(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error


def packed(script: Script, calls: Sequence[Call]) -> bytes:
    """The same as bytes, for a server that knows the script."""
    return b"".join(pack(("EVALSHA", script.sha, len(keys), *keys, *args)) for keys, args in calls)


# KEYS: the stream. ARGV: one body a record.
APPEND = Script("""
for _, body in ipairs(ARGV) do redis.call('XADD', KEYS[1], '*', 'e', body) end
""")

# KEYS: the stream, then the sets of marks, the present one first. ARGV: seconds the present set is
# kept, number of records, their marks, their bodies. Answers 1 for each record that is new.
APPEND_ONCE = Script("""
local n, most = tonumber(ARGV[2]), 4000
local new, marks, here = {}, {}, {}
for i = 1, n do new[i] = 1 end
for k = 2, #KEYS do
    for from = 1, n, most do
        local upto = math.min(from + most - 1, n)
        local seen = redis.call('SMISMEMBER', KEYS[k], unpack(ARGV, from + 2, upto + 2))
        for i, known in ipairs(seen) do
            if known == 1 then new[from + i - 1] = 0 end
        end
    end
end
for i = 1, n do
    local mark = ARGV[i + 2]
    if here[mark] then new[i] = 0 end
    if new[i] == 1 then
        here[mark] = true
        marks[#marks + 1] = mark
        redis.call('XADD', KEYS[1], '*', 'e', ARGV[i + 2 + n])
    end
end
for from = 1, #marks, most do
    redis.call('SADD', KEYS[2], unpack(marks, from, math.min(from + most - 1, #marks)))
end
if #marks > 0 then redis.call('EXPIRE', KEYS[2], ARGV[1]) end
return new
""")

# KEYS: the sets of marks. ARGV: marks. Answers 1 for each that is in one of the sets.
SEEN = Script("""
local found = {}
for i = 1, #ARGV do found[i] = 0 end
for _, set in ipairs(KEYS) do
    for from = 1, #ARGV, 4000 do
        local upto = math.min(from + 3999, #ARGV)
        for i, known in ipairs(redis.call('SMISMEMBER', set, unpack(ARGV, from, upto))) do
            if known == 1 then found[from + i - 1] = 1 end
        end
    end
end
return found
""")

# KEYS: the present set of marks. ARGV: seconds it is kept, marks.
MARK = Script("""
for i = 2, #ARGV do redis.call('SADD', KEYS[1], ARGV[i]) end
redis.call('EXPIRE', KEYS[1], ARGV[1])
""")

# KEYS: the group's members. ARGV: one of them, the lease in ms, 1 to stay or 0 to leave.
# Answers who is alive.
BEAT = Script("""
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
if ARGV[3] == '1' then
    redis.call('ZADD', KEYS[1], ms, ARGV[1])
else
    redis.call('ZREM', KEYS[1], ARGV[1])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. ms - ARGV[2])
return redis.call('ZRANGE', KEYS[1], 0, -1)
""")

# KEYS: a partition's lease. ARGV: who renews it, the lease in ms. Answers whether it is still his,
# or his again: he may have been held up while nobody else wanted it.
RENEW = Script("""
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
""")

# KEYS: a partition's lease. ARGV: who gives it up.
RELEASE = Script("""
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
""")

# KEYS: the stream, its dead letters. ARGV: the dead letters' ids. Answers how many were put back.
REPLAY = Script("""
local back = 0
for _, id in ipairs(ARGV) do
    local letter = redis.call('XRANGE', KEYS[2], id, id)[1]
    if letter then
        redis.call('XADD', KEYS[1], '*', 'e', letter[2][2])
        back = back + redis.call('XDEL', KEYS[2], id)
    end
end
return back
""")
