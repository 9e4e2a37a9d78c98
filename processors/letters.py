"""Dead letters: the jobs that were given up, kept with all that ops need to run them again or to see why not.

A hash a Redis (`snapsurge:dead`, job id → JSON), so that one job has one letter and the sweeper can leave dead jobs
alone. Letters are written by the claim's own settlement (storage/queue/claims.py), so that only who holds a job can
bury it. Of a letter that is purged its job's id is kept (`snapsurge:purged`) until no sweep can find the post any more.
Whoever queues such a job again ends both (storage/queue/jobs.py).
"""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Literal, TypeVar, cast

import msgspec
from redis.asyncio import Redis

from storage.keys import DEAD_KEY, PURGED_KEY
from storage.queue.shards import those_that_answer
from storage.records import Timestamp

T = TypeVar("T")

# A moment is swept for a day and an hour after it fires, by hand for somewhat longer.
PURGED_S = 72 * 3600

_PURGE = f"""
local now, purged = redis.call('TIME')[1], 0
for _, id in ipairs(ARGV) do
  if redis.call('HDEL', '{DEAD_KEY}', id) == 1 then
    redis.call('ZADD', '{PURGED_KEY}', now, id)
    purged = purged + 1
  end
end
redis.call('ZREMRANGEBYSCORE', '{PURGED_KEY}', '-inf', now - {PURGED_S})
redis.call('EXPIRE', '{PURGED_KEY}', {PURGED_S})
return purged
"""

Reason = Literal["fault", "outage", "poison", "unreadable"]


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One job that was given up. `tries` are all its runs, `traceback` is of the last one that failed."""

    id: str
    name: str
    args: tuple[str, ...]
    error: str
    tries: int
    at: Timestamp
    reason: Reason = "fault"
    traceback: str = ""


def parse_letter(job_id: bytes, raw: bytes) -> DeadLetter:
    """A letter as it stands in Redis; of one that cannot be read, that its job is dead."""
    try:
        return msgspec.json.decode(raw, type=DeadLetter)
    except (ValueError, RecursionError) as error:
        name = job_id.decode(errors="backslashreplace")
        kind, text = name.partition(":")[0], f"the letter cannot be read: {error}"
        return DeadLetter(id=name, name=kind, args=(), error=text, tries=0, at="", reason="unreadable")


class DeadLetters:
    """The kept jobs of one or more Redis. Every method may raise redis.RedisError."""

    def __init__(self, *shards: Redis) -> None:
        self._shards = shards

    async def keep(self, letter: DeadLetter) -> None:
        """Write it, over an older letter of the same job."""
        await _of(self._shards[0].hset(DEAD_KEY, letter.id, msgspec.json.encode(letter).decode()))

    async def among(self, job_ids: Sequence[str]) -> set[str]:
        """Which of these jobs are dead, purged ones included, as far as Redis answers."""
        if not job_ids:
            return set()

        async def known(shard: Redis) -> set[str]:
            pipe = shard.pipeline(transaction=False)
            pipe.hmget(DEAD_KEY, list(job_ids))
            pipe.zmscore(PURGED_KEY, list(job_ids))
            letters, purged = await pipe.execute()
            return {one for one, *found in zip(job_ids, letters, purged, strict=True) if found != [None, None]}

        return set().union(*await those_that_answer(known(shard) for shard in self._shards))

    async def all(self) -> list[DeadLetter]:
        """Every letter, the oldest first."""
        found = await asyncio.gather(*(_of(shard.hgetall(DEAD_KEY)) for shard in self._shards))
        letters = [parse_letter(job_id, raw) for some in found for job_id, raw in some.items()]
        return sorted(letters, key=lambda one: one.at)

    async def purge(self, job_ids: Sequence[str]) -> int:
        """Forget these for good: no sweep queues their jobs again; how many there were."""
        if not job_ids:
            return 0
        purged = await asyncio.gather(*(_of(shard.eval(_PURGE, 0, *job_ids)) for shard in self._shards))
        return sum(int(one) for one in purged)

    async def remove(self, job_ids: Sequence[str]) -> int:
        """Forget these; how many there were."""
        if not job_ids:
            return 0
        return sum(await asyncio.gather(*(_of(shard.hdel(DEAD_KEY, *job_ids)) for shard in self._shards)))

    async def count(self) -> int:
        """How many there are."""
        return sum(await those_that_answer(_of(shard.hlen(DEAD_KEY)) for shard in self._shards))


def _of(answer: Awaitable[T] | T) -> Awaitable[T]:
    """redis-py's commands are typed for both of its clients."""
    return cast("Awaitable[T]", answer)
