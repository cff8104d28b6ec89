"""What the streams on Redis do in one step: Lua, run by the server, nothing in between."""

from collections.abc import Sequence
from hashlib import sha1
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from subgraphs.kernel.redis_pipeline import pack

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
    """Run a script for each call, in one round trip.

    Each call is one step, all of them together are not. A server that was started anew does not
    know the script and has done nothing then: it is told, and asked again.
    """
    answers = await _run(client, script, calls)
    unknown = [place for place, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
    if unknown:
        await client.script_load(script.text)
        again = await _run(client, script, [calls[place] for place in unknown])
        for place, answer in zip(unknown, again, strict=True):
            answers[place] = answer
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return answers


async def _run(client: Redis, script: Script, calls: Sequence[Call]) -> list[Any]:
    async with client.pipeline(transaction=False) as pipe:
        for keys, args in calls:
            pipe.evalsha(script.sha, len(keys), *keys, *args)
        return await pipe.execute(raise_on_error=False)


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
local new = {}
for i = 1, n do new[i] = 1 end
for k = 3, #KEYS do
    for from = 1, n, most do
        local upto = math.min(from + most - 1, n)
        local seen = redis.call('SMISMEMBER', KEYS[k], unpack(ARGV, from + 2, upto + 2))
        for i, known in ipairs(seen) do
            if known == 1 then new[from + i - 1] = 0 end
        end
    end
end
for i = 1, n do
    if new[i] == 1 then
        new[i] = redis.call('SADD', KEYS[2], ARGV[i + 2])
        if new[i] == 1 then redis.call('XADD', KEYS[1], '*', 'e', ARGV[i + 2 + n]) end
    end
end
redis.call('EXPIRE', KEYS[2], ARGV[1])
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

# KEYS: a partition's lease. ARGV: who renews it, the lease in ms. Answers whether it is still his.
RENEW = Script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
""")

# KEYS: a partition's lease. ARGV: who gives it up.
RELEASE = Script("""
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
""")

# KEYS: the stream, its lease. ARGV: group, consumer, lease in ms, limit, deliveries from which an
# entry is not read by this call, the entry after which to read.
# In one step, so that nobody reads whose lease has passed on: take the lease, adopt what another
# left unacknowledged, and read, what is pending first. Answers nothing to who does not hold the
# lease, else: is the next one a suspect, the stream's last id if nothing was there, entries as id
# and body by turns, and how often each was delivered unless it is for the first time.
READ = Script("""
local stream, group, me = KEYS[1], ARGV[1], ARGV[2]
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= me then return false end
if not holder then redis.call('SET', KEYS[2], me, 'PX', ARGV[3]) end
local after = '(' .. ARGV[6]
local pending = redis.pcall('XPENDING', stream, group, after, '+', 1)
if pending.err then
    if not string.find(pending.err, 'NOGROUP') then return pending end
    redis.call('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM')
    pending = {}
end
local first = pending[1]
if first and (not holder or first[2] ~= me) then
    local cursor = '0-0'
    repeat
        cursor = redis.call('XAUTOCLAIM', stream, group, me, 0, cursor,
                            'COUNT', 1000, 'JUSTID')[1]
    until cursor == '0-0'
end
if first and first[4] >= tonumber(ARGV[5]) then return { 1, '', {}, {} } end
local got = redis.call('XREADGROUP', 'GROUP', group, me, 'COUNT', ARGV[4],
                       'STREAMS', stream, first and ARGV[6] or '>')
local entries, counts = {}, {}
for i, entry in ipairs(got and got[1][2] or {}) do
    entries[2 * i - 1] = entry[1]
    entries[2 * i] = entry[2] and entry[2][2] or ''
end
if first then
    for i, info in ipairs(redis.call('XPENDING', stream, group, after, '+', ARGV[4], me)) do
        counts[i] = info[4]
    end
end
local last = ''
if #entries == 0 then
    local newest = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
    last = newest and newest[1] or '0-0'
end
return { 0, last, entries, counts }
""")

# KEYS: the stream. ARGV: group, ids with spaces between. Lua unpacks a few thousand at most.
ACK = Script("""
local ids = {}
for id in string.gmatch(ARGV[2], '%S+') do
    ids[#ids + 1] = id
    if #ids == 1000 then
        redis.call('XACK', KEYS[1], ARGV[1], unpack(ids))
        ids = {}
    end
end
if #ids > 0 then redis.call('XACK', KEYS[1], ARGV[1], unpack(ids)) end
""")

# KEYS: the stream, its drop counters. ARGV: group, then id and reason by turns.
ACK_DROPPED = Script("""
for i = 2, #ARGV, 2 do
    if redis.call('XACK', KEYS[1], ARGV[1], ARGV[i]) == 1 then
        redis.call('HINCRBY', KEYS[2], ARGV[i + 1], 1)
    end
end
""")

# KEYS: the stream, its drop counters, its dead letters. ARGV: group, id, reason, detail, body, the
# entry's id in the topic.
BURY = Script("""
if redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) == 1 then
    redis.call('XADD', KEYS[3], '*', 'e', ARGV[5], 'id', ARGV[6], 'reason', ARGV[3],
               'detail', ARGV[4])
    redis.call('HINCRBY', KEYS[2], ARGV[3], 1)
end
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

# KEYS: the stream. Lets go of what every group has acknowledged, but for the last entry of those
# that are done: it costs less than to name the one after it.
TRIM = Script("""
local function order(id)
    local ms, sequence = string.match(id, '(%d+)-(%d+)')
    return tonumber(ms), tonumber(sequence)
end
local groups = redis.pcall('XINFO', 'GROUPS', KEYS[1])
if groups.err then return 0 end
local least, least_ms, least_sequence
for _, group in ipairs(groups) do
    local info = {}
    for i = 1, #group, 2 do info[group[i]] = group[i + 1] end
    local first = redis.call('XPENDING', KEYS[1], info['name'], '-', '+', 1)[1]
    local needed = first and first[1] or info['last-delivered-id']
    local ms, sequence = order(needed)
    if not least or ms < least_ms or (ms == least_ms and sequence < least_sequence) then
        least, least_ms, least_sequence = needed, ms, sequence
    end
end
return least and redis.call('XTRIM', KEYS[1], 'MINID', '=', least) or 0
""")

# KEYS: the stream, its dead letters. ARGV: group.
# Answers how many wait, are pending and are dead, then the oldest pending and the oldest of all.
LAG = Script("""
local waiting, pending, oldest, delivered = redis.call('XLEN', KEYS[1]), 0, '', nil
local groups = redis.pcall('XINFO', 'GROUPS', KEYS[1])
for _, group in ipairs(groups) do
    local info = {}
    for i = 1, #group, 2 do info[group[i]] = group[i + 1] end
    if info['name'] == ARGV[1] then
        delivered = info['last-delivered-id']
        waiting, pending = info['lag'] or 0, info['pending']
    end
end
if pending > 0 then oldest = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1)[1][1] end
local first = oldest
if first == '' and waiting > 0 then
    local after = delivered and '(' .. delivered or '-'
    local next_one = redis.call('XRANGE', KEYS[1], after, '+', 'COUNT', 1)[1]
    first = next_one and next_one[1] or ''
end
return { waiting, pending, redis.call('XLEN', KEYS[2]), oldest, first }
""")
