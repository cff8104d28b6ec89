"""Lua scripts that append to a stream and that read and write the dedupe keys.

A script runs as one step on the server: no other command runs in between.
"""

from subgraphs.kernel.redis.scripts import Script

# KEYS: 1 the stream. ARGV: the body of each record. Returns nothing.
APPEND = Script("""
for _, body in ipairs(ARGV) do redis.call('XADD', KEYS[1], '*', 'e', body) end
""")

# KEYS: 1 the stream, 2.. the sets of dedupe keys, the current window's first.
# ARGV: 1 lifetime of the current set in seconds, 2 number of records n, then n dedupe keys, then
# n bodies. Returns for each record 1 if it was appended, 0 if its ID was known.
APPEND_ONCE = Script("""
local n, most = tonumber(ARGV[2]), 4000
local new, added, here = {}, {}, {}
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
    local key = ARGV[i + 2]
    if here[key] then new[i] = 0 end
    if new[i] == 1 then
        here[key] = true
        added[#added + 1] = key
        redis.call('XADD', KEYS[1], '*', 'e', ARGV[i + 2 + n])
    end
end
for from = 1, #added, most do
    redis.call('SADD', KEYS[2], unpack(added, from, math.min(from + most - 1, #added)))
end
if #added > 0 then redis.call('EXPIRE', KEYS[2], ARGV[1]) end
return new
""")

# KEYS: the sets of dedupe keys. ARGV: dedupe keys.
# Returns for each dedupe key 1 if one of the sets contains it, else 0.
FIND_DEDUPE_KEYS = Script("""
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

# KEYS: 1 the current set of dedupe keys. ARGV: 1 its lifetime in seconds, 2.. dedupe keys.
# Returns nothing.
ADD_DEDUPE_KEYS = Script("""
for i = 2, #ARGV do redis.call('SADD', KEYS[1], ARGV[i]) end
redis.call('EXPIRE', KEYS[1], ARGV[1])
""")

# KEYS: 1 the stream, 2 its dead letters. ARGV: stream IDs of dead letters.
# Moves them to the end of the stream. Returns how many still existed.
REPLAY = Script("""
local replayed = 0
for _, id in ipairs(ARGV) do
    local letter = redis.call('XRANGE', KEYS[2], id, id)[1]
    if letter then
        redis.call('XADD', KEYS[1], '*', 'e', letter[2][2])
        replayed = replayed + redis.call('XDEL', KEYS[2], id)
    end
end
return replayed
""")
