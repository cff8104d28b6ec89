"""How far each group is in a partition: Lua that reads and moves its place.

A partition is read by one member at a time, so what is acknowledged is told by one place, and there
is no list of what is pending. A hash beside the stream has a line for each group:

    at       all up to here is acknowledged
    given    all up to here was given out
    again    up to here it was given out by a reader before this one
    count    entries of the stream up to `given`, of those that were ever appended
    pending  entries between `at` and `given`
    tries    how often those between `at` and `again` were given out
    reader   who was given the last ones; nobody else may move `at`

What a reader leaves behind is given out again to the next one, with as many tries and one more. Who
is past `SUSPECT_DELIVERIES` tries is given out alone, so further ones are its own: once it is done,
those behind it are back at that number.
"""

from subgraphs.kernel.redis.scripts import Script
from subgraphs.kernel.streams.interface import SUSPECT_DELIVERIES

_PLACES = (
    f"local SUSPECT = {SUSPECT_DELIVERIES}\n"
    + """
local function before(one, other)
    local ms, sequence = string.match(one, '(%d+)-(%d+)')
    local other_ms, other_sequence = string.match(other, '(%d+)-(%d+)')
    if ms ~= other_ms then return tonumber(ms) < tonumber(other_ms) end
    return tonumber(sequence) < tonumber(other_sequence)
end
local function parsed(line)
    local at, given, again, count, pending, tries, reader =
        string.match(line, '(%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S*)')
    return { at = at, given = given, again = again, count = tonumber(count),
             pending = tonumber(pending), tries = tonumber(tries), reader = reader }
end
local function keep(places, group, it)
    redis.call('HSET', places, group, string.format('%s %s %s %.0f %.0f %d %s', it.at, it.given,
               it.again, it.count, it.pending, it.tries, it.reader))
end
local function about(stream)
    local found, info = redis.pcall('XINFO', 'STREAM', stream), {}
    if found.err then return { length = 0, added = 0, last = '0-0' } end
    for i = 1, #found, 2 do info[found[i]] = found[i + 1] end
    return { length = info['length'], added = info['entries-added'],
             last = info['last-generated-id'] }
end
local function beginning(stream)
    local it = about(stream)
    return { at = '0-0', given = '0-0', again = '0-0', count = it.added - it.length, pending = 0,
             tries = 0, reader = '' }
end
"""
)

# KEYS: the stream, its lease, its places. ARGV: group, consumer, lease in ms, limit, 1 to be given
# one that may have killed its readers, the entry after which to read or nothing to begin anew.
# In one step, so that nobody reads whose lease has passed on. Answers nothing to who does not hold
# the lease, else: 1 if the next one is a suspect and was not asked for; 1 if what the reader had in
# hand is no longer his; the stream's last id if nothing was there; how often the entries were given
# out; the entries as id and body by turns.
READ = Script(
    _PLACES
    + """
local stream, group, me, after = KEYS[1], ARGV[1], ARGV[2], ARGV[6]
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= me then return false end
if not holder then redis.call('SET', KEYS[2], me, 'PX', ARGV[3]) end
local line = redis.call('HGET', KEYS[3], group)
local it = line and parsed(line) or beginning(stream)
local is_new = it.reader ~= me or after == ''
if is_new then
    after = it.at
    if it.at == it.given then
        it.tries = 0
    elseif not before(it.at, it.again) then
        it.tries = 1
    end
    it.again = it.given
end
if it.tries >= SUSPECT and ARGV[5] == '0' and before(after, it.again) then
    return { 1, is_new and 1 or 0, '', 0, {} }
end
local upto, found
repeat  -- what comes again is given out by itself; nothing may be left of it in the stream
    if before(after, it.again) then
        upto = it.again
    elseif before(after, it.given) then
        upto = it.given  -- an answer that never reached us
    else
        upto = '+'
    end
    found = redis.call('XRANGE', stream, '(' .. after, upto, 'COUNT', ARGV[4])
    if #found > 0 or upto == '+' then break end
    if after == it.at then
        it.at = upto
        if upto == it.given then it.pending = 0 end
    end
    after = upto
until false
local last, deliveries, entries = '', 1, {}
if #found > 0 then
    if upto == '+' then
        it.given = found[#found][1]
        it.count, it.pending = it.count + #found, it.pending + #found
    elseif upto == it.again then
        if is_new or it.tries >= SUSPECT then it.tries = it.tries + 1 end
        deliveries = it.tries
    end
    it.reader = me
    keep(KEYS[3], group, it)
    for i, entry in ipairs(found) do
        entries[2 * i - 1], entries[2 * i] = entry[1], entry[2][2]
    end
else
    local now = about(stream)
    last = now.last
    if before(last, it.given) then
        it = beginning(stream)
        keep(KEYS[3], group, it)
    elseif it.count ~= now.added then
        it.count = now.added
        keep(KEYS[3], group, it)
    end
end
return { 0, is_new and 1 or 0, last, deliveries, entries }
"""
)

# KEYS: the stream's places, its drop counters, its dead letters. ARGV: group, consumer, the place
# up to which all is done, how many entries that is, number of drop reasons, each with its count,
# then of each dead letter body, id in the topic, reason and detail.
# In one step with what it says of the entries it passes, so that this counts once. Answers 0 to who
# is not the reader any more. What was done before is not done twice.
COMMIT = Script(
    _PLACES
    + """
local line = redis.call('HGET', KEYS[1], ARGV[1])
local it = line and parsed(line)
if not it or it.reader ~= ARGV[2] then return 0 end
if not before(it.at, ARGV[3]) then return 1 end
it.at = ARGV[3]
it.pending = it.at == it.given and 0 or math.max(0, it.pending - ARGV[4])
if not before(it.at, it.again) then
    it.tries = 0
elseif it.tries > SUSPECT then
    it.tries = SUSPECT
end
keep(KEYS[1], ARGV[1], it)
local letters = 6 + 2 * ARGV[5]
for i = 6, letters - 1, 2 do redis.call('HINCRBY', KEYS[2], ARGV[i], ARGV[i + 1]) end
for i = letters, #ARGV, 4 do
    redis.call('XADD', KEYS[3], '*', 'e', ARGV[i], 'id', ARGV[i + 1], 'reason', ARGV[i + 2],
               'detail', ARGV[i + 3])
    redis.call('HINCRBY', KEYS[2], ARGV[i + 2], 1)
end
return 1
"""
)

# KEYS: the stream, its places. ARGV: how many entries may go at a time; the server does nothing
# else meanwhile. Lets go of what every group has acknowledged; answers 1 if there may be more.
TRIM = Script(
    _PLACES
    + """
local least
for _, line in ipairs(redis.call('HVALS', KEYS[2])) do
    local at = parsed(line).at
    if not least or before(at, least) then least = at end
end
if not least then return 0 end
local ms, sequence = string.match(least, '(%d+)-(%d+)')
local first = string.format('%s-%.0f', ms, sequence + 1)
-- Whole nodes cost little; the rest of one is named entry by entry.
if redis.call('XTRIM', KEYS[1], 'MINID', '~', first, 'LIMIT', ARGV[1]) > 0 then return 1 end
redis.call('XTRIM', KEYS[1], 'MINID', '=', first)
return 0
"""
)

# KEYS: the stream, its places, its dead letters. ARGV: group.
# Answers how many wait, are pending and are dead, then the oldest that is not acknowledged.
LAG = Script(
    _PLACES
    + """
local line = redis.call('HGET', KEYS[2], ARGV[1])
local it = line and parsed(line) or beginning(KEYS[1])
local dead, now = redis.call('XLEN', KEYS[3]), about(KEYS[1])
local oldest = redis.call('XRANGE', KEYS[1], '(' .. it.at, '+', 'COUNT', 1)[1]
if not oldest then return { 0, 0, dead, '' } end
local waiting = now.added - it.count
-- It was lost, and is another now; or somebody has trimmed what nobody has read.
if waiting < 0 or waiting > now.length then waiting = now.length end
return { waiting, it.pending, dead, oldest[1] }
"""
)
