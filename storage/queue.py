"""The words that cross the queue, and how jobs get onto it: ARQ's own format, one script call for many jobs.

arq's `enqueue_job` costs three round trips and a connection of its own per job. `_ENQUEUE` writes the same two keys
(`arq:job:{id}` and the sorted set `arq:queue`) for a whole batch, atomically, and skips an id that is queued already:
the id is made of the job's name and its post, so doubles are impossible. Scores are Redis' own clock, so that a node
whose clock is wrong neither delays nor overtakes. Bodies are msgpack, not pickle: Redis need not be trusted with code.
"""

import time
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from arq.constants import default_queue_name, job_key_prefix, result_key_prefix
from arq.jobs import serialize_job
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

JobName = Literal["render_pair", "flag_late"]

# A body that nobody claimed for a week is past any moment; the sweeper would make it anew.
_BODY_TTL_MS = 7 * 24 * 3600 * 1000

_ENQUEUE = f"""
local now = redis.call('TIME')
local score = now[1] * 1000 + math.floor(now[2] / 1000)
local added = 0
for i = 1, #ARGV, 2 do
  local id, body = ARGV[i], ARGV[i + 1]
  if redis.call('EXISTS', '{job_key_prefix}' .. id, '{result_key_prefix}' .. id) == 0 then
    redis.call('PSETEX', '{job_key_prefix}' .. id, {_BODY_TTL_MS}, body)
    redis.call('ZADD', KEYS[1], score, id)
    added = added + 1
  end
end
return added
"""


class Job(msgspec.Struct, frozen=True):
    """One thing to do for one post."""

    name: JobName
    moment_id: str
    post_id: str

    @property
    def id(self) -> str:
        """What makes a second enqueue of the same job a no-op."""
        return f"{self.name}:{self.post_id}"


class Depth(msgspec.Struct, frozen=True):
    """What waits: ready jobs, and the age of the oldest of them in seconds."""

    ready: int
    oldest_s: float


def jobs_of(moment_id: str, post_id: str) -> tuple[Job, Job]:
    """What an accepted pair needs, the cheap one first."""
    return Job("flag_late", moment_id, post_id), Job("render_pair", moment_id, post_id)


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
            fields += [job.id, body]
        pipe.eval(_ENQUEUE, 1, default_queue_name, *fields)

    async def depth(self) -> Depth:
        """Jobs whose time has come and that nobody finished, by Redis' clock."""
        seconds, micros = await self._redis.time()
        now_ms = seconds * 1000 + micros // 1000
        pipe = self._redis.pipeline(transaction=False)
        pipe.zcount(default_queue_name, "-inf", now_ms)
        pipe.zrange(default_queue_name, 0, 0, withscores=True)
        ready, head = await pipe.execute()
        oldest_ms = min(now_ms, int(head[0][1])) if head else now_ms
        return Depth(int(ready), (now_ms - oldest_ms) / 1000)
