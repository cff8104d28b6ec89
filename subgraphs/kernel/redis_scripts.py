"""What the streams on Redis do in one step: Lua, run by the server, nothing in between."""

# KEYS: the topic, then one marker a record. ARGV: the markers' seconds, then one body a record.
APPEND_ONCE = """
local new = {}
for i = 2, #KEYS do
    if redis.call('SET', KEYS[i], '', 'NX', 'EX', ARGV[1]) then
        redis.call('XADD', KEYS[1], '*', 'e', ARGV[i])
        new[i - 1] = 1
    else
        new[i - 1] = 0
    end
end
return new
"""

# KEYS: the topic, its lease. ARGV: group, consumer, lease in ms, limit.
# In one step, so that nobody reads whose lease has passed on: take or renew the lease, adopt what
# another left unacknowledged, and read, what is pending first. An entry that was given out several
# times may be what killed its readers: it is given out alone. Answers nothing to who stands by,
# else the last id of the topic and the entries.
READ = """
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= ARGV[2] then return false end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
local first = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1)[1]
if first and (not holder or first[2] ~= ARGV[2]) then
    local cursor = '0-0'
    repeat
        cursor = redis.call('XAUTOCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, cursor,
                            'COUNT', 1000, 'JUSTID')[1]
    until cursor == '0-0'
end
local limit = ARGV[4]
if first and first[4] >= 3 then limit = 1 end
local got = redis.call('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', limit,
                       'STREAMS', KEYS[1], first and '0' or '>')
local entries = {}
for i, entry in ipairs(got and got[1][2] or {}) do
    local deliveries = 1
    if first then
        deliveries = redis.call('XPENDING', KEYS[1], ARGV[1], entry[1], entry[1], 1)[1][4]
    end
    entries[i] = { entry[1], entry[2] and entry[2][2] or '', deliveries }
end
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
return { last and last[1] or '0-0', entries }
"""

# KEYS: the topic, its drop counters. ARGV: group, then id and reason by turns.
ACK = """
for i = 2, #ARGV, 2 do
    local acked = redis.call('XACK', KEYS[1], ARGV[1], ARGV[i])
    if acked == 1 and ARGV[i + 1] ~= '' then
        redis.call('HINCRBY', KEYS[2], ARGV[i + 1], 1)
    end
end
"""

# KEYS: the topic, its drop counters, its dead letters. ARGV: group, id, reason, detail, body.
BURY = """
if redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) == 1 then
    redis.call('XADD', KEYS[3], '*', 'e', ARGV[5], 'id', ARGV[2], 'reason', ARGV[3],
               'detail', ARGV[4])
    redis.call('HINCRBY', KEYS[2], ARGV[3], 1)
end
"""

RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""
