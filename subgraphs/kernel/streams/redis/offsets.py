"""A group's offsets in a partition: Lua scripts that read, commit, trim and measure the lag.

One member at a time reads a partition, so one offset per group records what is acknowledged, and
no list of pending entries is needed. The hash `names.offsets_of` has a line for each group:

    acked        all entries up to this stream ID are acknowledged
    delivered    all entries up to this stream ID were delivered
    redelivered  entries up to this stream ID were delivered to an earlier reader
    count        number of entries ever added to the stream up to `delivered`
    pending      number of entries between `acked` and `delivered`
    attempts     deliveries of the entries between `acked` and `redelivered`
    reader       member that received the last entries; no other member may move `acked`

The next reader receives what the previous one left unacknowledged, with one attempt more. Entries
past `SUSPECT_DELIVERIES` attempts are delivered one by one, so a further attempt counts for the
first of them only. Once that is acknowledged, `attempts` is `SUSPECT_DELIVERIES` for the rest.
"""

from subgraphs.kernel.redis.scripts import Script
from subgraphs.kernel.streams.interface import SUSPECT_DELIVERIES

_OFFSETS = (
    f"local SUSPECT = {SUSPECT_DELIVERIES}\n"
    + """
local function before(one, other)
    local ms, sequence = string.match(one, '(%d+)-(%d+)')
    local other_ms, other_sequence = string.match(other, '(%d+)-(%d+)')
    if ms ~= other_ms then return tonumber(ms) < tonumber(other_ms) end
    return tonumber(sequence) < tonumber(other_sequence)
end
local function parsed(line)
    local acked, delivered, redelivered, count, pending, attempts, reader =
        string.match(line, '(%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S*)')
    return { acked = acked, delivered = delivered, redelivered = redelivered,
             count = tonumber(count), pending = tonumber(pending),
             attempts = tonumber(attempts), reader = reader }
end
local function save(offsets, group, state)
    redis.call('HSET', offsets, group, string.format('%s %s %s %.0f %.0f %d %s',
               state.acked, state.delivered, state.redelivered, state.count, state.pending,
               state.attempts, state.reader))
end
local function info_of(stream)
    local found, info = redis.pcall('XINFO', 'STREAM', stream), {}
    if found.err then return { length = 0, added = 0, last = '0-0' } end
    for i = 1, #found, 2 do info[found[i]] = found[i + 1] end
    return { length = info['length'], added = info['entries-added'],
             last = info['last-generated-id'] }
end
local function initial(stream)
    local info = info_of(stream)
    return { acked = '0-0', delivered = '0-0', redelivered = '0-0',
             count = info.added - info.length, pending = 0, attempts = 0, reader = '' }
end
"""
)

# Reads entries and takes the lease, in one step: a member whose lease has passed on reads nothing.
# KEYS: 1 the stream, 2 the lease, 3 the offsets. ARGV: 1 group, 2 member, 3 lease in ms, 4 limit,
# 5 1 to receive a suspect entry, 6 the stream ID after which to read, or '' to begin at the offset.
# Returns nil if another member holds the lease, else:
#   1 1 if the next entry is suspect and ARGV[5] is 0
#   2 1 if the member's entries in flight are no longer its own
#   3 the stream's last ID if no entry was found, else ''
#   4 deliveries of the entries, this one included
#   5 stream ID and body of each entry, alternating
READ = Script(
    _OFFSETS
    + """
local stream, group, member, after = KEYS[1], ARGV[1], ARGV[2], ARGV[6]
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= member then return false end
if not holder then redis.call('SET', KEYS[2], member, 'PX', ARGV[3]) end
local line = redis.call('HGET', KEYS[3], group)
local state = line and parsed(line) or initial(stream)
local is_new = state.reader ~= member or after == ''
if is_new then
    after = state.acked
    if state.acked == state.delivered then
        state.attempts = 0
    elseif not before(state.acked, state.redelivered) then
        state.attempts = 1
    end
    state.redelivered = state.delivered
end
if state.attempts >= SUSPECT and ARGV[5] == '0' and before(after, state.redelivered) then
    return { 1, is_new and 1 or 0, '', 0, {} }
end
local upto, found
repeat  -- redeliveries come separately; the next range follows if the stream has lost them
    if before(after, state.redelivered) then
        upto = state.redelivered
    elseif before(after, state.delivered) then
        upto = state.delivered  -- the reply of that delivery was lost
    else
        upto = '+'
    end
    found = redis.call('XRANGE', stream, '(' .. after, upto, 'COUNT', ARGV[4])
    if #found > 0 or upto == '+' then break end
    if after == state.acked then
        state.acked = upto
        if upto == state.delivered then state.pending = 0 end
    end
    after = upto
until false
local last, deliveries, entries = '', 1, {}
if #found > 0 then
    if upto == '+' then
        state.delivered = found[#found][1]
        state.count, state.pending = state.count + #found, state.pending + #found
    elseif upto == state.redelivered then
        if is_new or state.attempts >= SUSPECT then state.attempts = state.attempts + 1 end
        deliveries = state.attempts
    end
    state.reader = member
    save(KEYS[3], group, state)
    for i, entry in ipairs(found) do
        entries[2 * i - 1], entries[2 * i] = entry[1], entry[2][2]
    end
else
    local now = info_of(stream)
    last = now.last
    if before(last, state.delivered) then
        state = initial(stream)
        save(KEYS[3], group, state)
    elseif state.count ~= now.added then
        state.count = now.added
        save(KEYS[3], group, state)
    end
end
return { 0, is_new and 1 or 0, last, deliveries, entries }
"""
)

# Moves a group's offset, counts drops and adds dead letters in one step, so that each counts once.
# KEYS: 1 the offsets, 2 the drop counters, 3 the dead letters. ARGV: 1 group, 2 member, 3 the
# stream ID up to which all entries are acknowledged, 4 number of entries passed, 5 number n of drop
# reasons, then n times reason and count, then each dead letter's body, entry ID, reason and detail.
# Returns 0 if the member is no longer the reader, else 1. A repeated commit has no effect.
COMMIT = Script(
    _OFFSETS
    + """
local line = redis.call('HGET', KEYS[1], ARGV[1])
local state = line and parsed(line)
if not state or state.reader ~= ARGV[2] then return 0 end
if not before(state.acked, ARGV[3]) then return 1 end
state.acked = ARGV[3]
state.pending = state.acked == state.delivered and 0 or math.max(0, state.pending - ARGV[4])
if not before(state.acked, state.redelivered) then
    state.attempts = 0
elseif state.attempts > SUSPECT then
    state.attempts = SUSPECT
end
save(KEYS[1], ARGV[1], state)
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

# Deletes the entries that every group has acknowledged.
# KEYS: 1 the stream, 2 the offsets. ARGV: 1 entries to delete at most; the call blocks the server.
# Returns 1 if more entries may be left to delete, else 0.
TRIM = Script(
    _OFFSETS
    + """
local least
for _, line in ipairs(redis.call('HVALS', KEYS[2])) do
    local at = parsed(line).acked
    if not least or before(at, least) then least = at end
end
if not least then return 0 end
local ms, sequence = string.match(least, '(%d+)-(%d+)')
local first = string.format('%s-%.0f', ms, sequence + 1)
-- Deleting whole nodes is cheap; the entries of the last node are deleted one by one.
if redis.call('XTRIM', KEYS[1], 'MINID', '~', first, 'LIMIT', ARGV[1]) > 0 then return 1 end
redis.call('XTRIM', KEYS[1], 'MINID', '=', first)
return 0
"""
)

# KEYS: 1 the stream, 2 the offsets, 3 the dead letters. ARGV: 1 group.
# Returns the numbers of waiting entries, of pending entries and of dead letters, then the stream ID
# of the oldest unacknowledged entry or ''.
LAG = Script(
    _OFFSETS
    + """
local line = redis.call('HGET', KEYS[2], ARGV[1])
local state = line and parsed(line) or initial(KEYS[1])
local dead, now = redis.call('XLEN', KEYS[3]), info_of(KEYS[1])
local oldest = redis.call('XRANGE', KEYS[1], '(' .. state.acked, '+', 'COUNT', 1)[1]
if not oldest then return { 0, 0, dead, '' } end
local waiting = now.added - state.count
-- The stream was lost and recreated, or another client trimmed unread entries.
if waiting < 0 or waiting > now.length then waiting = now.length end
return { waiting, state.pending, dead, oldest[1] }
"""
)
