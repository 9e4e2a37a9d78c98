"""The jobs in the queue, and how they are enqueued: arq's own format, one script call for many jobs.

arq's `enqueue_job` costs three round trips and a connection per job. `_ENQUEUE` writes the same two keys
(`arq:job:{id}` and a sorted set) atomically for a whole batch, and skips an id that is queued or running. The id
consists of the job's name and its post, so there are no duplicates. Scores are times of redis_clock.py: a wrong clock
of a node or of Redis neither delays jobs nor reorders them. Bodies are msgpack, not pickle, so that Redis need not be
trusted with code execution. Claiming is in claims.py; several Redis are in shards.py.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

import msgspec
from arq.constants import job_key_prefix
from arq.jobs import serialize_job
from redis.asyncio import Redis

from ..keys import ATTEMPTS_KEY, COUNTED_KEY, DEAD_KEY, LEASES_KEY, PURGED_KEY, QUEUE_KEYS
from ..scripts import Call, Script, run_one
from .bell import RING
from .redis_clock import CLOCK, WRITES

JobName = Literal["render_pair", "flag_late", "complete_media"]

FLAGS, ON_TIME, LATE, DEAR, LATER = QUEUES = QUEUE_KEYS

# The key of a job's body is this and the job's id.
BODY_KEY = job_key_prefix
# The field of a job's body with the unix ms of its pair's commit.
COMMITTED: Final = "c"
# A job that was not claimed for a week belongs to a moment that is over; the sweeper would queue it again.
_BODY_TTL_MS = 7 * 24 * 3600 * 1000

# No lease and no backoff lasts as long. A job with a score further ahead would never run: it counts as not queued, and
# whoever measures the depth removes it from its queue; the sweeper queues it again if it is needed.
_FAR_MS = 24 * 3600 * 1000

# Defines `queued(ids)`: for each id whether one of the queues (KEYS) has the job and will give it out.
_QUEUED = f"""
local function queued(ids)
  local there = {{}}
  for _, queue in ipairs(KEYS) do
    for i, score in ipairs(call('ZMSCORE', queue, unpack(ids))) do
      there[i] = there[i] or (score and score + 0 < now + {_FAR_MS}) or false
    end
  end
  return there
end
"""

# ARGV: queue number, id and body of each job. Enqueueing removes the job's dead letter, because the caller (a new post,
# or an operator) wants it to run. A body alone (its queue was lost, or it is no body) does not make a job queued.
_ENQUEUE = Script(f"""
{CLOCK}
{RING}
{_QUEUED}
local score = string.format('%.0f', now)
local added, ids, scores, given = 0, {{}}, {{}}, {{}}
for i = 1, #ARGV, 3 do
  local queue, id, body = unpack(ARGV, i, i + 2)
  local key = '{job_key_prefix}' .. id
  local new = redis.call('SET', key, body, 'NX', 'PX', {_BODY_TTL_MS})
  if not new and not given[id] and not (call('GET', key) and queued({{id}})[1]) then
    for _, other in ipairs(KEYS) do call('ZREM', other, id) end
    new = redis.call('SET', key, body, 'PX', {_BODY_TTL_MS})
  end
  if new then
    local list = scores[queue] or {{}}
    scores[queue] = list
    list[#list + 1], list[#list + 2] = score, id
    added = added + 1
    ids[added], given[id] = id, true
  end
end
if added > 0 and redis.call('EXISTS', '{DEAD_KEY}', '{PURGED_KEY}') > 0 then
  for i = 1, added, 4000 do
    call('HDEL', '{DEAD_KEY}', unpack(ids, i, math.min(i + 3999, added)))
    call('ZREM', '{PURGED_KEY}', unpack(ids, i, math.min(i + 3999, added)))
  end
end
for queue, list in pairs(scores) do
  for i = 1, #list, 4000 do call('ZADD', KEYS[queue + 0], unpack(list, i, math.min(i + 3999, #list))) end
end
if added > 0 then call('HINCRBY', '{COUNTED_KEY}', 'enqueued', added) end
ring(added)
return added
""")

# For each queue that is not empty: its number, jobs that are ready, all jobs, the score of the first.
_DEPTH = Script(f"""{WRITES}
{CLOCK}
local queues = {{}}
for number, queue in ipairs(KEYS) do
  call('ZREMRANGEBYSCORE', queue, string.format('%.0f', now + {_FAR_MS}), '+inf')
  local size = call('ZCARD', queue)
  if size > 0 then
    local first = call('ZRANGE', queue, 0, 0, 'WITHSCORES')[2]
    local ready = first + 0 > now and 0 or call('ZCOUNT', queue, '-inf', now)
    queues[#queues + 1] = {{number - 1, ready, size, now - first}}
  end
end
return {{queues, call('HLEN', '{LEASES_KEY}'), call('HGETALL', '{COUNTED_KEY}'),
  call('HLEN', '{DEAD_KEY}')}}
""")

# ARGV: ids of jobs. A job that is running ends by itself when it finds its post deleted.
_REMOVE = Script(f"""
local removed = 0
for _, id in ipairs(ARGV) do
  local found = call('HDEL', '{DEAD_KEY}', id) + call('ZREM', '{PURGED_KEY}', id)
  if not call('HGET', '{LEASES_KEY}', id) then
    for _, queue in ipairs(KEYS) do found = found + call('ZREM', queue, id) end
    call('HDEL', '{ATTEMPTS_KEY}', id)
    redis.call('DEL', '{job_key_prefix}' .. id)
  end
  removed = removed + math.min(found, 1)
end
return removed
""")

# ARGV: ids of jobs. Returns the positions, from 1, of those that are not queued.
_UNQUEUED = Script(f"""
{CLOCK}
{_QUEUED}
local there = queued(ARGV)
local keys, positions = {{}}, {{}}
for i, id in ipairs(ARGV) do keys[i] = '{job_key_prefix}' .. id end
for i, body in ipairs(redis.call('MGET', unpack(keys))) do
  if not body or not there[i] then positions[#positions + 1] = i end
end
return positions
""")


class Job(msgspec.Struct, frozen=True):
    """A job names one task for one post; `late` is whether the post is late, as far as known when it is queued.

    `committed_ms` is when the pair was committed, in unix ms; 0 where the caller does not know it.
    """

    name: JobName
    moment_id: str
    post_id: str
    late: bool = False
    committed_ms: int = 0

    @property
    def id(self) -> str:
        """The id of the job; enqueueing the same id again does nothing."""
        return f"{self.name}:{self.post_id}"

    @property
    def queue(self) -> str:
        """The queue that the job is put into."""
        if self.name == "render_pair":
            return LATE if self.late else ON_TIME
        return FLAGS if self.name == "flag_late" else LATER


class Depth(msgspec.Struct, frozen=True):
    """Jobs by state, the age in seconds of the oldest ready job, event counters since Redis was empty, dead letters.

    `leased` jobs are running, or were running on a worker that is gone; `deferred` jobs wait for another attempt. Jobs
    of the queue for later count as ready, but not for the age, because they are not urgent.
    """

    ready: int
    oldest_s: float
    leased: int = 0
    deferred: int = 0
    counted: dict[str, int] = {}
    dead: int = 0

    def __add__(self, other: "Depth") -> "Depth":
        return Depth(
            self.ready + other.ready,
            max(self.oldest_s, other.oldest_s),
            self.leased + other.leased,
            self.deferred + other.deferred,
            {
                name: self.counted.get(name, 0) + other.counted.get(name, 0)
                for name in {**self.counted, **other.counted}
            },
            self.dead + other.dead,
        )


def jobs_of(moment_id: str, post_id: str, *, late: bool = False, committed_ms: int = 0) -> tuple[Job, Job]:
    """The jobs of an accepted pair, the cheap one first."""
    return Job("flag_late", moment_id, post_id, late), Job("render_pair", moment_id, post_id, late, committed_ms)


def encode(value: dict[str, Any]) -> bytes:
    """arq's `job_serializer`. The result of a failed job may contain an exception, which is stored as text."""
    return msgspec.msgpack.encode(value, enc_hook=repr)


def _encode_with(committed_ms: int) -> Callable[[dict[str, Any]], bytes]:
    """`encode`, with the time of the commit beside arq's own fields, which a stock arq worker ignores."""
    return lambda value: encode({**value, COMMITTED: committed_ms})


def decode(data: bytes) -> dict[str, Any]:
    """arq's `job_deserializer`: the inverse of `encode`."""
    decoded: dict[str, Any] = msgspec.msgpack.decode(data)
    return decoded


class Queue:
    """The job queue in one Redis. Every method may raise redis.RedisError."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def enqueue(self, jobs: Sequence[Job]) -> int:
        """Queue jobs; returns how many were not queued already."""
        return int(await run_one(self._redis, self.enqueueing(jobs)))

    @staticmethod
    def enqueueing(jobs: Sequence[Job]) -> Call:
        """The call that queues these jobs, for a caller that sends it with others."""
        now_ms = time.time_ns() // 1_000_000
        fields: list[Any] = []
        for job in jobs:
            serializer = _encode_with(job.committed_ms) if job.committed_ms else encode
            body = serialize_job(job.name, (job.moment_id, job.post_id), {}, None, now_ms, serializer=serializer)
            fields += [QUEUES.index(job.queue) + 1, job.id, body]
        return _ENQUEUE(QUEUES, *fields)

    async def unqueued(self, jobs: Sequence[Job]) -> list[Job]:
        """Those of these jobs, a few hundred, that are neither queued nor running."""
        call = _UNQUEUED(QUEUES, *(job.id for job in jobs))
        return [jobs[position - 1] for position in await run_one(self._redis, call)]

    async def remove(self, jobs: Sequence[Job]) -> int:
        """Remove jobs that are not running, and their dead letters; returns how many there were."""
        return int(await run_one(self._redis, _REMOVE(QUEUES, *(job.id for job in jobs))))

    async def depth(self) -> Depth:
        """The current depth of all queues, by the clock of their scores."""
        return depth_of(await run_one(self._redis, measuring()))


def measuring() -> Call:
    """The call whose answer `depth_of` reads."""
    return _DEPTH(QUEUES)


def depth_of(answer: Any) -> Depth:  # noqa: ANN401 - Lua's answer
    """The depth of all queues from the script's answer."""
    found, leased, counted, dead = answer
    ready, queued = sum(one[1] for one in found), sum(one[2] for one in found)
    ages_ms = [age_ms for number, _, _, age_ms in found if QUEUES[number] != LATER]
    return Depth(
        ready,
        max([0, *ages_ms]) / 1000,
        leased,
        max(queued - ready - leased, 0),
        {
            name.decode(errors="replace"): int(number)
            for name, number in zip(counted[::2], counted[1::2], strict=True)
            if number.isdigit() and len(number) < 18
        },
        dead,
    )
