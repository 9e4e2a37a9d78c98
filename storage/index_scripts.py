"""The Lua scripts of the index: a post's entry and the counts of its moment are changed together.

What they promise is in index.py, the keys are in keys.py. A value that these scripts do not write is removed: a broken
entry with the counts of its moment, because nobody knows as what it was counted, broken counts as a whole, so that the
sweeper counts anew. Fields of a post's hash: j record, s state, l late_by_ms, a
attempt, g the generation of counts in which the entry is counted. Fields of a moment's hash: the counts, `generation`,
`shards` (the epoch of the counts), `reign` (in which the generation began), and `complete` (the reign for which they
are complete).
"""

from .keys import COUNTS_KEY, DELETION_KEY, LIFE_KEY, MOMENT_KEY, MOMENTS_KEY, MOMENTS_LISTED_KEY, POST_KEY
from .records import ATTEMPT_ID_CHARS
from .reign import REIGN
from .scripts import Script

# Two days outlive the accepting period (24 h) and the jobs of its last post; after that the store answers. An entry
# without its late flag or its renditions lives as long as the counts: if it expired first, the next report would count
# the post again.
POST_TTL_S = 48 * 3600
COUNTS_TTL_S = 30 * 24 * 3600
MOMENT_TTL_S = 7 * 24 * 3600
# A recount that has not finished within a day starts again, before the entries that it observed can expire.
RECOUNT_S = 24 * 3600
# A proof is void after this time: a Redis that evicts keys may have lost a younger deletion. If a commit takes
# longer, its post is left to the post's jobs.
FRESH_MS = 5000
# The generation of an entry that is in no counts.
_UNCOUNTED = "-"

# The forms of what these scripts write: an integer, an id of `records.attempt_id`, a generation (`RECOUNT`).
_FORMS = f"""
local function is_number(text) return #text < 16 and string.find(text, '^-?%d+$') end
local function is_id(text) return text == '' or #text == {ATTEMPT_ID_CHARS} and not string.find(text, '[^0-9a-f]') end
local function is_generation(text) return text == '' or text == '{_UNCOUNTED}' or string.find(text, '^%d+%.%d+$') end
"""

_COUNT = (
    _FORMS
    + """
local function count(by, state, late, number)
  by.accepted = (by.accepted or 0) + number
  if state ~= 'accepted' then by[state] = (by[state] or 0) + number end
  local flag = late and (tonumber(late) > 0 and 'late' or 'on_time')
  if flag then by[flag] = (by[flag] or 0) + number end
end
local function store(counts, by)
  for name, number in pairs(by) do
    local answer = number ~= 0 and redis.pcall('HINCRBY', counts, name, number)
    -- Void, if it is no number; any other error is raised.
    if type(answer) == 'table' then
      call('HGET', counts, name)
      if not is_number(redis.call('HGET', counts, name) or '') then return redis.call('DEL', counts) end
      redis.call('HINCRBY', counts, name, number)
    end
  end
end
-- Whether the entry is broken; state, late_by_ms, attempt and generation of one that is not.
local function entry_of(key)
  local found = redis.pcall('HMGET', key, 's', 'l', 'a', 'g')
  if found.err then
    call('HMGET', key, 's')
    return true
  end
  local state, late, attempt, generation = unpack(found)
  local fine = not late and not attempt and not generation
  if state then
    fine = (state == 'accepted' or state == 'ready' or state == 'rejected') and is_number(late or '0')
      and is_id(attempt or '') and is_generation(generation or '')
  end
  if fine then return false, state, late, attempt, generation end
  redis.call('DEL', key)
  return true
end
-- The id of a post's last deletion.
local function deletion_at(key)
  local gone = call('GET', key)
  if not gone or is_id(gone) then return gone end
  redis.call('DEL', key)
end
"""
)

# `life()` names the data of this Redis: the key began with it, so it is lost with all else, and a server that restarted
# or was promoted, and may lack the last writes, has another `run_id`. `now_ms()` is the time of this Redis.
_LIFE = f"""
local function begun_at()
  return string.match(call('GET', '{LIFE_KEY}') or '', '^%d+%.%d+$')
end
local function life()
  local begun = begun_at()
  return begun and begun..':'..string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
end
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
"""

# Returns the proof of now: the life, which begins if there is none, and the time.
PROOF = Script(f"""
{_LIFE}
if not begun_at() then
  local time = redis.call('TIME')
  redis.call('SET', '{LIFE_KEY}', time[1]..'.'..time[2])
end
return life()..'@'..string.format('%.0f', now_ms())
""")

# ARGV: the epoch, then eight fields of each post, the last one its proof. An entry of the same attempt and the present
# generation proves that no deletion came after it. Otherwise the proof must: whatever was deleted since is still known
# in this life. An entry of an earlier generation may be of a post whose deletion this Redis lacks.
OBSERVE = Script(f"""
{_COUNT}
{_LIFE}
local moments = {{}}
local function moment_of(counts)
  if not moments[counts] then
    local generation, epoch = unpack(call('HMGET', counts, 'generation', 'shards'))
    local void = not is_generation(generation or '')
    generation = not void and generation or ''
    moments[counts] = {{generation = generation, ours = (epoch or '') == ARGV[1], by = {{}}, void = void}}
  end
  return moments[counts]
end
local present, now
local function is_proven(proof)
  local was, at = string.match(proof, '^(.*)@(%d+)$')
  if not was then return false end
  if not now then present, now = life(), now_ms() end
  return was == present and now >= tonumber(at) and now - at <= {FRESH_MS}
end
local function observe(key, deletion, counts, state, late, attempt, complete, record, proof)
  local moment = moment_of(counts)
  local broken, old_state, old_late, old_attempt, old_generation = entry_of(key)
  if broken then moment.void = true end
  local counted = old_state and old_generation == moment.generation
  if not counted or old_attempt ~= attempt then
    local gone = deletion_at(deletion)
    if gone and attempt <= gone then return 'deleted' end
    if old_state and (old_attempt or '') > attempt then return 'stale' end
    if not is_proven(proof) then return 'unproven' end
  end
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
  if not old_state or finished or complete == '1' or (first_flag and state == 'accepted') then
    fields[#fields + 1], fields[#fields + 2] = 'j', record
  end
  if #fields > 0 then call('HSET', key, unpack(fields)) end
  if not old_state or state ~= 'accepted' then
    redis.call('EXPIRE', key, (late and state ~= 'accepted') and {POST_TTL_S} or {COUNTS_TTL_S})
  end
  return old_state and 'known' or 'new'
end
local answers = {{}}
for i = 2, #ARGV, 8 do
  local id, moment, state, late, attempt, complete, record, proof = unpack(ARGV, i, i + 7)
  answers[#answers + 1] = observe('{POST_KEY}'..id, '{DELETION_KEY}'..id, '{COUNTS_KEY}'..moment,
    state, late ~= '' and late, attempt, complete, record, proof)
end
for counts, moment in pairs(moments) do
  if moment.void then redis.call('DEL', counts) else store(counts, moment.by) end
  if moment.strange then call('HDEL', counts, 'complete') end
  if moment.more then redis.call('EXPIRE', counts, {COUNTS_TTL_S}) end
end
return answers
""")

# One command and one answer: as many commands cost the caller three times the CPU.
STATES = Script(f"""
local states = {{}}
for i = 1, #ARGV do
  local state = call('HGET', '{POST_KEY}'..ARGV[i], 's')
  states[i] = (state == 'accepted' or state == 'ready' or state == 'rejected') and state
end
return states
""")

# `allow-oom`: a deletion frees more memory than it takes.
FORGET = Script(f"""#!lua flags=allow-oom
{_COUNT}
local key, deletion, counts = '{POST_KEY}'..ARGV[1], '{DELETION_KEY}'..ARGV[1], '{COUNTS_KEY}'..ARGV[2]
local broken, state, late, attempt, generation = entry_of(key)
if broken then redis.call('DEL', counts) end
if ARGV[3] > (deletion_at(deletion) or '') then redis.call('SET', deletion, ARGV[3], 'EX', {POST_TTL_S}) end
if not state or (attempt or '') > ARGV[3] then return end
local by = {{}}
if generation == (call('HGET', counts, 'generation') or '') then count(by, state, late, -1) end
store(counts, by)
redis.call('DEL', key)
""")

# ARGV: the term (reign.py), the epoch, the names of the counts. No answer unless they are complete. A Redis that would
# refuse a write refuses this script too, although it writes nothing: reports may be missing there.
COUNTS = Script(f"""#!lua
{REIGN}
{_FORMS}
local found = call('HMGET', KEYS[1], 'complete', 'shards', unpack(ARGV, 3))
if (found[2] or '') ~= ARGV[2] or not lasts(found[1], ARGV[1]) then return false end
for i = 3, #ARGV do
  if not is_number(found[i] or '0') then
    redis.call('DEL', KEYS[1])
    return false
  end
end
return {{unpack(found, 3)}}
""")

# ARGV: the term, the epoch. Returns the positions, from 1, of the moments whose counts are not complete.
UNCOUNTED = Script(f"""#!lua
{REIGN}
local positions = {{}}
for i, counts in ipairs(KEYS) do
  local complete, epoch = unpack(call('HMGET', counts, 'complete', 'shards'))
  if (epoch or '') ~= ARGV[2] or not lasts(complete, ARGV[1]) then positions[#positions + 1] = i end
end
return positions
""")

# ARGV: the term, the epoch. A generation is named after the second and microsecond in which it began, so that names are
# unique; recounts of one reign and epoch that run at the same time share a generation. A recount of a later reign or
# term begins anew: it must not count entries of posts whose deletion this Redis lacks.
RECOUNT = Script(f"""#!lua
{REIGN}
local time = redis.call('TIME')
local begun, epoch, began = unpack(call('HMGET', KEYS[1], 'generation', 'shards', 'reign'))
local now = time[1]..'.'..time[2]
local age = tonumber(begun) and now - begun
if age and (epoch or '') == ARGV[2] and age < {RECOUNT_S} and lasts(began, ARGV[1]) then return begun end
redis.call('DEL', KEYS[1])
call('HSET', KEYS[1], 'generation', now, 'shards', ARGV[2], 'reign', mark(ARGV[1]))
redis.call('EXPIRE', KEYS[1], {COUNTS_TTL_S})
return now
""")

# ARGV: the term, the epoch, the generation, empty for a new moment. The counts are complete for the reign in which the
# recount began: what was lost since may be missing.
COMPLETE = Script(f"""#!lua
{REIGN}
local generation, epoch, began = unpack(call('HMGET', KEYS[1], 'generation', 'shards', 'reign'))
if (generation or '') ~= ARGV[3] or (generation and (epoch or '') ~= ARGV[2]) then return 0 end
call('HSET', KEYS[1], 'complete', generation and began or mark(ARGV[1]), 'shards', ARGV[2])
redis.call('EXPIRE', KEYS[1], {COUNTS_TTL_S})
return 1
""")

# ARGV: the listed time range or nothing, its time to live, then six fields of each moment. A copy of a later revision
# stays, because a reader may have read the moment before it was changed and report it after.
PUT_MOMENTS = Script(f"""
for i = 3, #ARGV, 6 do
  local id, region, fires_at, revision, cancelled, record = unpack(ARGV, i, i + 5)
  local known, there = pcall(cjson.decode, call('GET', '{MOMENT_KEY}' .. id) or '{{}}')
  local later = known and type(there) == 'table' and (tonumber(there.revision) or 0) > tonumber(revision)
  if not later then
    redis.call('SET', '{MOMENT_KEY}' .. id, record, 'EX', {MOMENT_TTL_S})
    call('ZADD', '{MOMENTS_KEY}', fires_at, id)
    if cancelled == '1' then call('ZREM', '{MOMENTS_KEY}:' .. region, id)
    else call('ZADD', '{MOMENTS_KEY}:' .. region, fires_at, id) end
  end
end
if ARGV[1] ~= '' then redis.call('SET', '{MOMENTS_LISTED_KEY}', ARGV[1], 'EX', ARGV[2]) end
""")
