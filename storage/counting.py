"""The Lua scripts of the index: each changes a post's entry and the counts of its moment together.

What they promise is in index.py, the keys are in keys.py. Fields of a post's hash: j record, s state, l late_by_ms, a
attempt, g the generation of counts in which the entry is counted. Fields of a moment's hash: the counts, `generation`,
`shards` (the epoch of the counts), `reign` (in which the generation began), and `complete` (the reign for which they
are complete).
"""

from .keys import COUNTS_KEY, DELETION_KEY, POST_KEY
from .reign import REIGN
from .scripts import Script

# Two days outlive the accepting period (24 h) and the jobs of its last post; after that the store answers. An entry
# without its late flag or its renditions lives as long as the counts: if it expired first, the next report would count
# the post again.
POST_TTL_S = 48 * 3600
COUNTS_TTL_S = 30 * 24 * 3600
# A recount that has not finished within a day starts again, before the entries that it observed can expire.
RECOUNT_S = 24 * 3600
# The generation of an entry that is in no counts.
_UNCOUNTED = "-"

_COUNT = """
local function count(by, state, late, number)
  by.accepted = (by.accepted or 0) + number
  if state ~= 'accepted' then by[state] = (by[state] or 0) + number end
  local flag = late and (tonumber(late) > 0 and 'late' or 'on_time')
  if flag then by[flag] = (by[flag] or 0) + number end
end
local function store(counts, by)
  for name, number in pairs(by) do
    if number ~= 0 then redis.call('HINCRBY', counts, name, number) end
  end
end
local function entry_of(key) return unpack(redis.call('HMGET', key, 's', 'l', 'a', 'g')) end
"""

# ARGV: the epoch, then seven fields of each post. An entry of the same attempt proves that no deletion came after it.
OBSERVE = Script(f"""
{_COUNT}
local moments = {{}}
local function moment_of(counts)
  if not moments[counts] then
    local generation, epoch = unpack(redis.call('HMGET', counts, 'generation', 'shards'))
    moments[counts] = {{generation = generation or '', ours = (epoch or '') == ARGV[1], by = {{}}}}
  end
  return moments[counts]
end
local function observe(key, deletion, counts, state, late, attempt, whole, record)
  local moment = moment_of(counts)
  local old_state, old_late, old_attempt, old_generation = entry_of(key)
  if not old_state or old_attempt ~= attempt then
    local gone = redis.call('GET', deletion)
    if gone and attempt <= gone then return 'deleted' end
    if old_state and (old_attempt or '') > attempt then return 'stale' end
  end
  local counted = old_state and old_generation == moment.generation
  if old_state and (old_attempt or '') ~= attempt then
    if counted then count(moment.by, old_state, old_late, -1) end
    redis.call('DEL', key)
    old_state, old_late, counted = false, false, false
  end
  local finished = state ~= 'accepted' and state ~= old_state
  local first_flag = late and not old_late
  state = (finished or not old_state) and state or old_state
  late = old_late or late
  local fields = {{}}
  if not counted or finished or first_flag then
    if counted then count(moment.by, old_state, old_late, -1) else moment.more = true end
    if counted or moment.ours then count(moment.by, state, late, 1) else moment.strange = true end
    local generation = (counted or moment.ours) and moment.generation or '{_UNCOUNTED}'
    fields = {{'s', state, 'a', attempt, 'g', generation}}
  end
  if first_flag then fields[#fields + 1], fields[#fields + 2] = 'l', late end
  if not old_state or finished or whole == '1' or (first_flag and state == 'accepted') then
    fields[#fields + 1], fields[#fields + 2] = 'j', record
  end
  if #fields > 0 then redis.call('HSET', key, unpack(fields)) end
  if not old_state or state ~= 'accepted' then
    redis.call('EXPIRE', key, (late and state ~= 'accepted') and {POST_TTL_S} or {COUNTS_TTL_S})
  end
  return old_state and 'known' or 'new'
end
local answers = {{}}
for i = 2, #ARGV, 7 do
  local id, moment, state, late, attempt, whole, record = unpack(ARGV, i, i + 6)
  answers[#answers + 1] = observe('{POST_KEY}'..id, '{DELETION_KEY}'..id, '{COUNTS_KEY}'..moment,
    state, late ~= '' and late, attempt, whole, record)
end
for counts, moment in pairs(moments) do
  store(counts, moment.by)
  if moment.strange then redis.call('HDEL', counts, 'complete') end
  if moment.more then redis.call('EXPIRE', counts, {COUNTS_TTL_S}) end
end
return answers
""")

# One command and one answer: as many commands cost the caller three times the CPU.
STATES = Script(f"""
local states = {{}}
for i = 1, #ARGV do states[i] = redis.call('HGET', '{POST_KEY}'..ARGV[i], 's') end
return states
""")

# `allow-oom`: a deletion frees more memory than it takes.
FORGET = Script(f"""#!lua flags=allow-oom
{_COUNT}
local key, deletion, counts = '{POST_KEY}'..ARGV[1], '{DELETION_KEY}'..ARGV[1], '{COUNTS_KEY}'..ARGV[2]
local state, late, attempt, generation = entry_of(key)
if ARGV[3] > (redis.call('GET', deletion) or '') then redis.call('SET', deletion, ARGV[3], 'EX', {POST_TTL_S}) end
if not state or (attempt or '') > ARGV[3] then return end
local by = {{}}
if generation == (redis.call('HGET', counts, 'generation') or '') then count(by, state, late, -1) end
store(counts, by)
redis.call('DEL', key)
""")

# ARGV: the term (reign.py), the epoch, the names of the counts. No answer unless they are complete. A Redis that would
# refuse a write refuses this script too, although it writes nothing: reports may be missing there.
COUNTS = Script(f"""#!lua
{REIGN}
local found = redis.call('HMGET', KEYS[1], 'complete', 'shards', unpack(ARGV, 3))
if (found[2] or '') ~= ARGV[2] or not lasts(found[1], ARGV[1]) then return false end
return {{unpack(found, 3)}}
""")

# ARGV: the term, the epoch. Returns the places, from 1, of the moments whose counts are not complete.
UNCOUNTED = Script(f"""#!lua
{REIGN}
local places = {{}}
for i, counts in ipairs(KEYS) do
  local complete, epoch = unpack(redis.call('HMGET', counts, 'complete', 'shards'))
  if (epoch or '') ~= ARGV[2] or not lasts(complete, ARGV[1]) then places[#places + 1] = i end
end
return places
""")

# ARGV: the term, the epoch. A generation is named after the second and microsecond in which it began, so that names are
# unique; recounts of one reign and epoch that run at the same time share a generation. A recount of a later reign or
# term begins anew: it must not count entries of posts whose deletion this Redis lacks.
RECOUNT = Script(f"""#!lua
{REIGN}
local time = redis.call('TIME')
local begun, epoch, began = unpack(redis.call('HMGET', KEYS[1], 'generation', 'shards', 'reign'))
local now = time[1]..'.'..time[2]
if begun and (epoch or '') == ARGV[2] and now - begun < {RECOUNT_S} and lasts(began, ARGV[1]) then return begun end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'generation', now, 'shards', ARGV[2], 'reign', mark(ARGV[1]))
redis.call('EXPIRE', KEYS[1], {COUNTS_TTL_S})
return now
""")

# ARGV: the term, the epoch, the generation, empty for a new moment. The counts are complete for the reign in which the
# recount began: what was lost since may be missing.
COMPLETE = Script(f"""#!lua
{REIGN}
local generation, epoch, began = unpack(redis.call('HMGET', KEYS[1], 'generation', 'shards', 'reign'))
if (generation or '') ~= ARGV[3] or (generation and (epoch or '') ~= ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], 'complete', generation and began or mark(ARGV[1]), 'shards', ARGV[2])
redis.call('EXPIRE', KEYS[1], {COUNTS_TTL_S})
return 1
""")
