"""The words that cross the queue, and how jobs get onto it: ARQ's own format, one script call for many jobs.

arq's `enqueue_job` costs three round trips and a connection of its own per job. `_ENQUEUE` writes the same two keys
(`arq:job:{id}` and a sorted set) for a whole batch, atomically, and skips an id that is queued already, or running: the
id is made of the job's name and its post, so doubles are impossible. Scores are times of clock.py, so that no node's
or Redis' wrong clock delays or overtakes. Bodies are msgpack, not pickle: Redis need not be trusted with code. How
jobs are claimed stands in claims.py; several Redis in shards.py.
"""

import time
from collections.abc import Awaitable, Sequence
from typing import Any, Literal, cast

import msgspec
from arq.constants import job_key_prefix
from arq.jobs import serialize_job
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from ..keys import COUNTED_KEY, DEAD_KEY, LEASES_KEY, PURGED_KEY, QUEUE_KEYS
from .clock import CLOCK, WRITES

JobName = Literal["render_pair", "flag_late", "complete_media"]

FLAGS, ON_TIME, LATE, DEAR, LATER = QUEUES = QUEUE_KEYS

# A body that nobody claimed for a week is past any moment; the sweeper would make it anew.
_BODY_TTL_MS = 7 * 24 * 3600 * 1000

# ARGV: queue number, id and body of each job. Who queues a dead job means to run it: a new post, or ops.
_ENQUEUE = f"""
{CLOCK}
local score = string.format('%.0f', now)
local added, ids, scores = 0, {{}}, {{}}
for i = 1, #ARGV, 3 do
  local queue, id, body = unpack(ARGV, i, i + 2)
  if redis.call('SET', '{job_key_prefix}' .. id, body, 'NX', 'PX', {_BODY_TTL_MS}) then
    local list = scores[queue] or {{}}
    scores[queue] = list
    list[#list + 1], list[#list + 2] = score, id
    added = added + 1
    ids[added] = id
  end
end
if added > 0 and redis.call('EXISTS', '{DEAD_KEY}', '{PURGED_KEY}') > 0 then
  for i = 1, added, 4000 do
    redis.call('HDEL', '{DEAD_KEY}', unpack(ids, i, math.min(i + 3999, added)))
    redis.call('ZREM', '{PURGED_KEY}', unpack(ids, i, math.min(i + 3999, added)))
  end
end
for queue, list in pairs(scores) do
  for i = 1, #list, 4000 do redis.call('ZADD', KEYS[queue + 0], unpack(list, i, math.min(i + 3999, #list))) end
end
if added > 0 then redis.call('HINCRBY', '{COUNTED_KEY}', 'enqueued', added) end
return added
"""


_NOW = f"""{WRITES}
{CLOCK}
return string.format('%.0f', now)
"""


class Job(msgspec.Struct, frozen=True):
    """One thing to do for one post; `late` if the post is, as far as known when it is queued."""

    name: JobName
    moment_id: str
    post_id: str
    late: bool = False

    @property
    def id(self) -> str:
        """What makes a second enqueue of the same job a no-op."""
        return f"{self.name}:{self.post_id}"

    @property
    def queue(self) -> str:
        """Where it waits."""
        if self.name == "render_pair":
            return LATE if self.late else ON_TIME
        return FLAGS if self.name == "flag_late" else LATER


class Depth(msgspec.Struct, frozen=True):
    """What there is: jobs by state, the age in seconds of the oldest ready one, what was counted since Redis was empty.

    `leased` are running, or ran on a worker that is gone; `deferred` wait for another try. What was put off for later
    is ready, but its age presses nobody.
    """

    ready: int
    oldest_s: float
    leased: int = 0
    deferred: int = 0
    counted: dict[str, int] = {}

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
        )


def jobs_of(moment_id: str, post_id: str, *, late: bool = False) -> tuple[Job, Job]:
    """What an accepted pair needs, the cheap one first."""
    return Job("flag_late", moment_id, post_id, late), Job("render_pair", moment_id, post_id, late)


def encode(value: dict[str, Any]) -> bytes:
    """arq's `job_serializer`; a result may hold the exception of a failed job, which becomes text."""
    return msgspec.msgpack.encode(value, enc_hook=repr)


def decode(data: bytes) -> dict[str, Any]:
    """arq's `job_deserializer`."""
    decoded: dict[str, Any] = msgspec.msgpack.decode(data)
    return decoded


class Queue:
    """The job queue in one Redis. Every method may raise redis.RedisError."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def enqueue(self, jobs: Sequence[Job]) -> int:
        """Queue jobs, and say how many were not queued already."""
        pipe = self._redis.pipeline(transaction=False)
        self.enqueue_in(pipe, jobs)
        return int((await pipe.execute())[0])

    def enqueue_in(self, pipe: Pipeline, jobs: Sequence[Job]) -> None:
        """Add the queueing to a round trip that others share."""
        now_ms = time.time_ns() // 1_000_000
        fields: list[Any] = []
        for job in jobs:
            body = serialize_job(job.name, (job.moment_id, job.post_id), {}, None, now_ms, serializer=encode)
            fields += [QUEUES.index(job.queue) + 1, job.id, body]
        pipe.eval(_ENQUEUE, len(QUEUES), *QUEUES, *fields)

    async def depth(self) -> Depth:
        """The queues as they are, by the clock of their scores."""
        now_ms = int(await cast("Awaitable[bytes]", self._redis.eval(_NOW, 0)))
        pipe = self._redis.pipeline(transaction=False)
        for queue in QUEUES:
            pipe.zcount(queue, "-inf", now_ms)
            pipe.zcard(queue)
            pipe.zrange(queue, 0, 0, withscores=True)
        pipe.hlen(LEASES_KEY)
        pipe.hgetall(COUNTED_KEY)
        *found, leased, counted = await pipe.execute()
        ready, queued, heads = sum(found[0::3]), sum(found[1::3]), found[2::3]
        oldest_ms = min(
            [now_ms, *(int(head[0][1]) for queue, head in zip(QUEUES, heads, strict=True) if head and queue != LATER)]
        )
        return Depth(
            ready,
            (now_ms - oldest_ms) / 1000,
            leased,
            max(queued - ready - leased, 0),
            {name.decode(errors="replace"): int(number) for name, number in counted.items() if number.isdigit()},
        )
