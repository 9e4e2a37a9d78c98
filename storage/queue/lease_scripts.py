"""The Lua scripts of leases: one turn of a worker (settle, then claim), and extending and releasing leases.

What they promise is in claims.py, the rules and their reasons in lease.py, the keys in keys.py. Commands are variadic:
a turn costs about as many for ten jobs as for one.
"""

from ..keys import ATTEMPTS_KEY, BELL_KEY, CLOCK_KEY, COUNTED_KEY, DEAD_KEY, DEATHS_KEY, LEASES_KEY
from ..scripts import Script
from .bell import RING
from .jobs import BODY_KEY, DEAR, FLAGS, QUEUES
from .lease import DEATHS_MS
from .redis_clock import CLOCK, WRITES

# Three counts of a job together have at most as many digits; Redis' Lua is exact with as many.
_DIGITS = 15

_COMMON = f"""{WRITES}
{CLOCK}
{RING}
local function move(scores)
  for queue, pairs_ in pairs(scores) do call('ZADD', queue, unpack(pairs_)) end
end
local function put(scores, queue, score, id)
  local list = scores[queue] or {{}}
  scores[queue] = list
  list[#list + 1], list[#list + 2] = score, id
end
-- Of a lease: faults, outages, lapses, queue, token. Of the counts of a job that waits: the same, no queue, and the
-- worker where it failed last. Of any other text: zeros.
local function parsed(lease)
  local faults, outages, lapses, queue, token = string.match(lease or '', '^(%d+)|(%d+)|(%d+)|([^|]*)|(.*)$')
  if not faults or #faults + #outages + #lapses > {_DIGITS} then return 0, 0, 0 end
  return faults + 0, outages + 0, lapses + 0, queue, token
end
-- Groups of `stride` arguments from `start`: a job's id, the lease that the caller holds, its queue. Returns the ids,
-- and for each its queue if the lease is still the caller's.
local function leased(start, stride)
  local ids, mine = {{}}, {{}}
  for i = start, #ARGV, stride do ids[#ids + 1] = ARGV[i] end
  local leases = call('HMGET', '{LEASES_KEY}', unpack(ids))
  for i = 1, #ids do
    local at = start + (i - 1) * stride
    mine[i] = leases[i] == ARGV[at + 1] and ARGV[at + 2]
  end
  return ids, mine
end
"""

# Settlements first, then the claim. KEYS: the queues in the order of this claim, none without a claim. ARGV: token,
# lease, jobs to claim for free slots, jobs to claim ahead, flags to claim; then seven fields for each settlement.
#
# A job that a lost worker held may have killed that worker. It is not claimed ahead: a worker that it kills should hold
# few others.
_SETTLEMENTS_AT = 6
TURN = Script(f"""{_COMMON}
local function settle()
  local ids, mine = leased({_SETTLEMENTS_AT}, 7)
  local done, bodies, letters, scores, tried, leased, answer = {{}}, {{}}, {{}}, {{}}, {{}}, {{}}, {{}}
  local finished, refused, ready = 0, 0, 0
  for i, id in ipairs(ids) do
    local at = {_SETTLEMENTS_AT} + (i - 1) * 7
    local verb, text, defer, to = unpack(ARGV, at + 3, at + 6)
    answer[i] = mine[i] and 1 or 0
    if not mine[i] then refused = refused + 1
    else
      leased[#leased + 1] = id
      if verb == 'again' then
        if to == '' then to = mine[i] elseif to ~= mine[i] then call('ZREM', mine[i], id) end
        put(scores, to, now + defer, id)
        if defer == '0' then ready = ready + 1 end
        if text ~= '0|0|0||' then tried[#tried + 1], tried[#tried + 2] = id, text end
      else
        done[mine[i]] = done[mine[i]] or {{}}
        table.insert(done[mine[i]], id)
        bodies[#bodies + 1] = '{BODY_KEY}' .. id
        if text == '' then finished = finished + 1 else letters[#letters + 1], letters[#letters + 2] = id, text end
      end
    end
  end
  move(scores)
  for queue, over in pairs(done) do call('ZREM', queue, unpack(over)) end
  if #bodies > 0 then redis.call('DEL', unpack(bodies)) end
  if #leased > 0 then call('HDEL', '{LEASES_KEY}', unpack(leased)) end
  if #tried > 0 then call('HSET', '{ATTEMPTS_KEY}', unpack(tried)) end
  if #letters > 0 then call('HSET', '{DEAD_KEY}', unpack(letters)) end
  local function count(name, by) if by > 0 then call('HINCRBY', '{COUNTED_KEY}', name, by) end end
  count('finished', finished)
  count('dead', #letters / 2)
  count('again', #leased - #bodies)
  count('refused', refused)
  ring(ready)
  return answer
end

local token, lease, free, ahead, flags = ARGV[1], ARGV[2] + 0, ARGV[3] + 0, ARGV[4] + 0, ARGV[5] + 0
local ids, queues, due, renders, next_due = {{}}, {{}}, {{}}, 0, false

local function find()
  for _, queue in ipairs(KEYS) do
    local room = queue == '{FLAGS}' and flags or free + ahead - renders
    if queue == '{DEAR}' then room = #ids == 0 and free > 0 and 1 or 0 end
    if room > 0 then
      local found = call('ZRANGE', queue, 0, room - 1, 'WITHSCORES')
      for i = 1, #found, 2 do
        local score = found[i + 1] + 0
        if score > now then
          next_due = math.min(next_due or score, score)
          break
        end
        ids[#ids + 1], queues[#queues + 1], due[#due + 1] = found[i], queue, score
        if queue ~= '{FLAGS}' then renders = renders + 1 end
        if queue == '{DEAR}' then return end
      end
    end
  end
end

local function claim()
  local bodies = {{}}
  for i, id in ipairs(ids) do bodies[i] = '{BODY_KEY}' .. id end
  bodies = redis.call('MGET', unpack(bodies))
  local leases = call('HMGET', '{LEASES_KEY}', unpack(ids))
  local tried = call('HMGET', '{ATTEMPTS_KEY}', unpack(ids))
  local answer, scores, fields, lapsed, untried = {{}}, {{}}, {{}}, {{}}, {{}}
  local most = free + ahead
  for i = 1, #ids do
    if queues[i] ~= '{FLAGS}' and (leases[i] or tried[i]) then
      local _, _, lapses = parsed(leases[i] or tried[i])
      if leases[i] or lapses > 0 then most = free end
    end
  end
  for i, id in ipairs(ids) do
    local render = queues[i] ~= '{FLAGS}'
    if not bodies[i] then
      call('ZREM', queues[i], id)
      call('HDEL', '{LEASES_KEY}', id)
      call('HDEL', '{ATTEMPTS_KEY}', id)
    elseif render and most == 0 then
      next_due = now
    else
      if render then most = most - 1 end
      local faults, outages, lapses, _, holder = parsed(leases[i] or tried[i])
      -- Of a lease that cannot be read nobody knows whether its worker was lost.
      if leases[i] and holder then
        lapses = lapses + 1
        lapsed[#lapsed + 1] = #answer + 1
        call('ZADD', '{DEATHS_KEY}', now, string.match(holder, '^(.*):') or holder)
      end
      if tried[i] then untried[#untried + 1] = id end
      put(scores, queues[i], now + lease, id)
      fields[#fields + 1] = id
      fields[#fields + 1] = table.concat({{faults, outages, lapses, queues[i], token}}, '|')
      local failed_by = tried[i] and not leases[i] and holder or ''
      answer[#answer + 1] = {{id, bodies[i], queues[i], now - due[i], faults, outages, lapses, 0, failed_by}}
    end
  end
  move(scores)
  if #fields > 0 then call('HSET', '{LEASES_KEY}', unpack(fields)) end
  if #untried > 0 then call('HDEL', '{ATTEMPTS_KEY}', unpack(untried)) end
  if #lapsed > 0 then
    call('HINCRBY', '{COUNTED_KEY}', 'lapsed', #lapsed)
    call('ZREMRANGEBYSCORE', '{DEATHS_KEY}', '-inf', now - {DEATHS_MS})
    redis.call('PEXPIRE', '{DEATHS_KEY}', {DEATHS_MS})
    local deaths = call('ZCARD', '{DEATHS_KEY}')
    for _, at in ipairs(lapsed) do answer[at][8] = deaths end
  end
  return answer
end

local settled = #ARGV >= {_SETTLEMENTS_AT} and settle() or {{}}
find()
-- Nothing is ready: what is left in the bell would wake workers for nothing.
if #ids == 0 and #KEYS == {len(QUEUES)} then redis.call('DEL', '{BELL_KEY}') end
local claimed = #ids > 0 and claim() or {{}}
return {{settled, claimed, next_due and math.max(next_due - now, 0) or -1}}
""")

EXTEND = Script(f"""{_COMMON}
local ids, mine = leased(2, 3)
local scores, answer = {{}}, {{}}
for i, id in ipairs(ids) do
  answer[i] = mine[i] and 1 or 0
  if mine[i] then put(scores, mine[i], now + ARGV[1], id) end
end
move(scores)
return answer
""")

# With a token in ARGV, the jobs of that claim become ready again, without counting an attempt. Without one, every lease
# is extended, once in each run of the server: after a restart all workers find the scripts gone at the same time.
REVIVE = Script(f"""{_COMMON}
if ARGV[2] == '' then
  local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
  if call('HGET', '{CLOCK_KEY}', 'run') == run then return 0 end
  call('HSET', '{CLOCK_KEY}', 'run', run)
end
local leases, scores, freed = call('HGETALL', '{LEASES_KEY}'), {{}}, 0
for i = 1, #leases, 2 do
  local faults, outages, lapses, queue, token = parsed(leases[i + 1])
  if not queue then call('HDEL', '{LEASES_KEY}', leases[i])
  elseif ARGV[2] == '' then call('ZADD', queue, 'XX', 'GT', now + ARGV[1], leases[i])
  elseif token == ARGV[2] then
    call('ZADD', queue, 'XX', now, leases[i])
    call('HDEL', '{LEASES_KEY}', leases[i])
    local text = table.concat({{faults, outages, lapses, '', ''}}, '|')
    if text ~= '0|0|0||' then call('HSET', '{ATTEMPTS_KEY}', leases[i], text) end
    freed = freed + 1
  end
end
return freed
""")

# ARGV: workers. If one of them held a job, the claim that finds the job lapsed records the worker again.
NOTE_DEATHS = Script(f"""
{CLOCK}
for _, worker in ipairs(ARGV) do call('ZADD', '{DEATHS_KEY}', now, worker) end
redis.call('PEXPIRE', '{DEATHS_KEY}', {DEATHS_MS})
""")
