"""Claiming jobs from one Redis: four scripts that grant leases, extend them, settle jobs and release leases.

A claim takes jobs that are ready (an expensive job alone), sets their scores to the end of the lease and records the
holder, in one atomic step. So claimed jobs never block the head of a queue, two workers never get the same job, and the
jobs of a dead worker become ready again when their leases end. clock.py has the clock. Every later call about a job
must present the claim's token. The token fences a worker that was presumed dead: its settlement is refused. Commands
are variadic: a handful for a batch of any size.

A Redis that restarted has lost its scripts. The first worker that notices extends every lease once, because no worker
could while Redis was down. So a lapse still means that a worker failed, not that Redis did.

The keys are in keys.py, the rules and their reasons in lease.py.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, cast

from arq.constants import job_key_prefix
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import NoScriptError

from ..keys import ATTEMPTS_KEY, COUNTED_KEY, DEAD_KEY, DEATHS_KEY, LEASES_KEY
from .clock import CLOCK, WRITES
from .jobs import DEAR, QUEUES
from .lease import DEATHS_MS, Again, Attempts, Claimed, Done, Settlement

# Lua's unpack puts its arguments on a stack of 8,000 entries.
BATCH = 1000

_COMMON = f"""
{CLOCK}
local function move(scores)
  for queue, pairs_ in pairs(scores) do redis.call('ZADD', queue, unpack(pairs_)) end
end
local function put(scores, queue, score, id)
  local list = scores[queue] or {{}}
  scores[queue] = list
  list[#list + 1], list[#list + 2] = score, id
end
local function parsed(lease) return string.match(lease, '^(%d+)|(%d+)|(%d+)|([^|]*)|(.*)$') end
local function held(start, stride)
  local ids = {{}}
  for i = start, #ARGV, stride do ids[#ids + 1] = ARGV[i] end
  local leases, mine = redis.call('HMGET', '{LEASES_KEY}', unpack(ids)), {{}}
  for i, id in ipairs(ids) do
    local _, _, _, queue, token = parsed(leases[i] or '')
    mine[i] = token == ARGV[start + (i - 1) * stride + 1] and queue
  end
  return ids, mine
end
"""

_CLAIM = f"""{WRITES}
{_COMMON}
local token, lease, free = ARGV[1], ARGV[2] + 0, ARGV[3] + 0
local ids, queues, due, bodies = {{}}, {{}}, {{}}, {{}}
for _, queue in ipairs(KEYS) do
  local room, alone = free - #ids, queue == '{DEAR}'
  if alone then room = #ids == 0 and 1 or 0 end
  if room > 0 then
    local found = redis.call('ZRANGEBYSCORE', queue, '-inf', now, 'WITHSCORES', 'LIMIT', 0, room)
    if alone and #found > 0 then free = 1 end
    for i = 1, #found, 2 do
      ids[#ids + 1], queues[#queues + 1], due[#due + 1] = found[i], queue, found[i + 1]
      bodies[#bodies + 1] = '{job_key_prefix}' .. found[i]
    end
  end
end
if #ids == 0 then return {{}} end
bodies = redis.call('MGET', unpack(bodies))
local leases = redis.call('HMGET', '{LEASES_KEY}', unpack(ids))
local tried = redis.call('HMGET', '{ATTEMPTS_KEY}', unpack(ids))
local answer, scores, fields, lapsed = {{}}, {{}}, {{}}, {{}}
for i, id in ipairs(ids) do
  local faults, outages, lapses, _, holder = parsed(leases[i] or tried[i] or '0|0|0||')
  if leases[i] then
    lapses = lapses + 1
    lapsed[#lapsed + 1] = bodies[i] and #answer + 1 or 0
    redis.call('ZADD', '{DEATHS_KEY}', now, string.match(holder, '^(.*):') or holder)
  end
  if tried[i] then redis.call('HDEL', '{ATTEMPTS_KEY}', id) end
  if bodies[i] then
    put(scores, queues[i], now + lease, id)
    fields[#fields + 1] = id
    fields[#fields + 1] = table.concat({{faults, outages, lapses, queues[i], token}}, '|')
    answer[#answer + 1] = {{id, bodies[i], queues[i], now - due[i], faults + 0, outages + 0, lapses + 0, 0}}
  else
    redis.call('ZREM', queues[i], id)
    redis.call('HDEL', '{LEASES_KEY}', id)
  end
end
move(scores)
if #fields > 0 then redis.call('HSET', '{LEASES_KEY}', unpack(fields)) end
if #lapsed > 0 then
  redis.call('HINCRBY', '{COUNTED_KEY}', 'lapsed', #lapsed)
  redis.call('ZREMRANGEBYSCORE', '{DEATHS_KEY}', '-inf', now - {DEATHS_MS})
  redis.call('PEXPIRE', '{DEATHS_KEY}', {DEATHS_MS})
  local deaths = redis.call('ZCARD', '{DEATHS_KEY}')
  for _, at in ipairs(lapsed) do if answer[at] then answer[at][8] = deaths end end
end
return answer
"""

_EXTEND = f"""{WRITES}
{_COMMON}
local ids, mine = held(2, 2)
local scores, answer = {{}}, {{}}
for i, id in ipairs(ids) do
  answer[i] = mine[i] and 1 or 0
  if mine[i] then put(scores, mine[i], now + ARGV[1], id) end
end
move(scores)
return answer
"""

_SETTLE = f"""{WRITES}
{_COMMON}
local ids, mine = held(1, 6)
local done, bodies, letters, scores, tried, leased, answer = {{}}, {{}}, {{}}, {{}}, {{}}, {{}}, {{}}
local finished, refused = 0, 0
for i, id in ipairs(ids) do
  local verb, text, defer, to = unpack(ARGV, i * 6 - 3, i * 6)
  answer[i] = mine[i] and 1 or 0
  if not mine[i] then refused = refused + 1
  else
    leased[#leased + 1] = id
    if verb == 'again' then
      if to == '' then to = mine[i] elseif to ~= mine[i] then redis.call('ZREM', mine[i], id) end
      put(scores, to, now + defer, id)
      if text ~= '0|0|0||' then tried[#tried + 1], tried[#tried + 2] = id, text end
    else
      done[mine[i]] = done[mine[i]] or {{}}
      table.insert(done[mine[i]], id)
      bodies[#bodies + 1] = '{job_key_prefix}' .. id
      if text == '' then finished = finished + 1 else letters[#letters + 1], letters[#letters + 2] = id, text end
    end
  end
end
move(scores)
for queue, over in pairs(done) do redis.call('ZREM', queue, unpack(over)) end
if #bodies > 0 then redis.call('DEL', unpack(bodies)) end
if #leased > 0 then redis.call('HDEL', '{LEASES_KEY}', unpack(leased)) end
if #tried > 0 then redis.call('HSET', '{ATTEMPTS_KEY}', unpack(tried)) end
if #letters > 0 then redis.call('HSET', '{DEAD_KEY}', unpack(letters)) end
local function count(name, by) if by > 0 then redis.call('HINCRBY', '{COUNTED_KEY}', name, by) end end
count('finished', finished)
count('dead', #letters / 2)
count('again', #leased - #bodies)
count('refused', refused)
return answer
"""

# With a token in ARGV, the jobs of that claim become ready again, without counting an attempt. Without one, every lease
# is extended.
_REVIVE = f"""{WRITES}
{_COMMON}
local leases, scores, freed = redis.call('HGETALL', '{LEASES_KEY}'), {{}}, 0
for i = 1, #leases, 2 do
  local faults, outages, lapses, queue, token = parsed(leases[i + 1])
  if ARGV[2] == '' then redis.call('ZADD', queue, 'XX', 'GT', now + ARGV[1], leases[i])
  elseif token == ARGV[2] then
    redis.call('ZADD', queue, 'XX', now, leases[i])
    redis.call('HDEL', '{LEASES_KEY}', leases[i])
    local text = table.concat({{faults, outages, lapses, '', ''}}, '|')
    if text ~= '0|0|0||' then redis.call('HSET', '{ATTEMPTS_KEY}', leases[i], text) end
    freed = freed + 1
  end
end
return freed
"""

# ARGV: workers. If one of them held a job, the claim that finds the job lapsed records the worker again.
_NOTE_DEATHS = f"""
{CLOCK}
for _, worker in ipairs(ARGV) do redis.call('ZADD', '{DEATHS_KEY}', now, worker) end
redis.call('PEXPIRE', '{DEATHS_KEY}', {DEATHS_MS})
"""

# Redis names a script by the SHA-1 of its text: not used for security.
_SHAS = {one: hashlib.sha1(one.encode()).hexdigest() for one in (_CLAIM, _EXTEND, _SETTLE, _REVIVE)}  # noqa: S324


class Claims:
    """One worker's leases on one Redis. Every method may raise redis.RedisError, and may then have taken effect."""

    def __init__(self, redis: Redis, lease_s: float) -> None:
        self._redis = redis
        self._lease_ms = int(lease_s * 1000)

    async def claim(self, token: str, free: int, queues: Sequence[str] = QUEUES) -> list[Claimed]:
        """Up to `free` ready jobs, from the queues in this order. `token` is `worker:number`, never used before."""
        return [
            Claimed(
                id=job_id.decode(),
                body=body,
                queue=queue.decode(),
                token=token,
                attempts=Attempts(faults, outages, lapses),
                waited_s=max(waited_ms, 0) / 1000,
                deaths=deaths,
            )
            for job_id, body, queue, waited_ms, faults, outages, lapses, deaths in await self._run(
                _CLAIM, queues, token, self._lease_ms, free
            )
        ]

    async def extend(self, claimed: Sequence[Claimed]) -> list[Claimed]:
        """Extend these leases by a full lease from now; returns the jobs that this worker no longer holds."""
        lost: list[Claimed] = []
        for start in range(0, len(claimed), BATCH):
            batch = claimed[start : start + BATCH]
            fields = [field for one in batch for field in (one.id, one.token)]
            answers = await self._run(_EXTEND, (), self._lease_ms, *fields)
            lost += [one for one, kept in zip(batch, answers, strict=True) if not kept]
        return lost

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """Settle up to `BATCH` jobs; False for each that was refused because this worker no longer holds it."""
        fields: list[Any] = []
        for one in settlements:
            fields += [one.claimed.id, one.claimed.token, *_words(one)]
        return [bool(kept) for kept in await self._run(_SETTLE, (), *fields)] if fields else []

    async def release(self, token: str) -> int:
        """Release the jobs of a claim whose answer was lost, by its token; returns how many."""
        return int(await self._run(_REVIVE, (), self._lease_ms, token))

    async def _run(self, script: str, keys: Sequence[str], *arguments: Any) -> Any:  # noqa: ANN401 - Lua's answer
        """Run the script by its digest. If Redis lost it, first extend every worker's leases and load all scripts."""
        try:
            return await self._call(script, keys, *arguments)
        except NoScriptError:
            pipe: Pipeline = self._redis.pipeline(transaction=False)
            pipe.eval(_REVIVE, 0, str(self._lease_ms), "")
            for one in _SHAS:
                pipe.script_load(one)
            await pipe.execute()
            return await self._call(script, keys, *arguments)

    async def _call(self, script: str, keys: Sequence[str], *arguments: Any) -> Any:  # noqa: ANN401 - Lua's answer
        return await cast("Any", self._redis.evalsha(_SHAS[script], len(keys), *keys, *arguments))


def _words(settlement: Settlement) -> tuple[str, bytes | str, int, str]:
    match settlement:
        case Done(letter=letter):
            return "done", letter, 0, ""
        case Again(attempts=attempts, defer_s=defer_s, queue=queue):
            return "again", f"{attempts.faults}|{attempts.outages}|{attempts.lapses}||", round(defer_s * 1000), queue


async def note_deaths(redis: Redis, workers: Sequence[str]) -> None:
    """Record workers that were lost, which `is_poison` weighs lapses against; redis.RedisError."""
    await redis.eval(_NOTE_DEATHS, 0, *workers)  # type: ignore[misc] # redis-py's types
