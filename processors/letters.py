"""Dead letters: jobs that were given up, kept with what an operator needs to understand them and run them again.

Each Redis has one hash (`snapsurge:dead`, job id → JSON), so that a job has at most one letter and the sweeper can
skip dead jobs. The settlement of a claim writes the letter (storage/queue/claims.py), so that only the job's holder can
declare it dead. Purging a letter keeps the job's id in `snapsurge:purged` until no sweep can find the post any more.
Queueing the job again removes the letter and that id (storage/queue/jobs.py).
"""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Literal, TypeVar, cast

import msgspec
from redis.asyncio import Redis

from storage.keys import DEAD_KEY, PURGED_KEY
from storage.queue.shards import those_that_answer
from storage.records import Timestamp
from storage.scripts import Script, run_one

T = TypeVar("T")

# Longer than any sweep can find the post: the sweeper visits a moment until `passes.SWEPT_MS` after it fires.
PURGED_S = 72 * 3600

_PURGE = Script(f"""
local now, purged = redis.call('TIME')[1], 0
for _, id in ipairs(ARGV) do
  if call('HDEL', '{DEAD_KEY}', id) == 1 then
    call('ZADD', '{PURGED_KEY}', now, id)
    purged = purged + 1
  end
end
call('ZREMRANGEBYSCORE', '{PURGED_KEY}', '-inf', now - {PURGED_S})
redis.call('EXPIRE', '{PURGED_KEY}', {PURGED_S})
return purged
""")

Reason = Literal["fault", "outage", "poison", "unreadable"]


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One job that was given up. `tries` counts all runs; `traceback` is that of the last error."""

    id: str
    name: str
    args: tuple[str, ...]
    error: str
    tries: int
    at: Timestamp
    reason: Reason = "fault"
    traceback: str = ""


def parse_letter(job_id: bytes, raw: bytes) -> DeadLetter:
    """Decode a letter from Redis; an unreadable one becomes a letter with the reason `unreadable`."""
    try:
        return msgspec.json.decode(raw, type=DeadLetter)
    except (ValueError, RecursionError) as error:
        name = job_id.decode(errors="backslashreplace")
        kind, text = name.partition(":")[0], f"the letter cannot be read: {error}"
        return DeadLetter(id=name, name=kind, args=(), error=text, tries=0, at="", reason="unreadable")


class DeadLetters:
    """The dead letters on one or more Redis servers. Every method may raise redis.RedisError."""

    def __init__(self, *shards: Redis) -> None:
        self._shards = shards

    async def keep(self, letter: DeadLetter) -> None:
        """Write a letter; it replaces an older letter of the same job."""
        await _of(self._shards[0].hset(DEAD_KEY, letter.id, msgspec.json.encode(letter).decode()))

    async def among(self, job_ids: Sequence[str]) -> set[str]:
        """The ids of those jobs that are dead or purged; servers that do not answer are left out."""
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
        """All letters, oldest first."""
        found = await asyncio.gather(*(_of(shard.hgetall(DEAD_KEY)) for shard in self._shards))
        letters = [parse_letter(job_id, raw) for some in found for job_id, raw in some.items()]
        return sorted(letters, key=lambda one: one.at)

    async def purge(self, job_ids: Sequence[str]) -> int:
        """Delete these letters so that no sweep queues their jobs again; returns how many existed."""
        if not job_ids:
            return 0
        purged = await asyncio.gather(*(run_one(shard, _PURGE((), *job_ids)) for shard in self._shards))
        return sum(int(one) for one in purged)

    async def remove(self, job_ids: Sequence[str]) -> int:
        """Delete these letters, and let sweeps queue their jobs again; returns how many existed."""
        if not job_ids:
            return 0
        return sum(await asyncio.gather(*(_of(shard.hdel(DEAD_KEY, *job_ids)) for shard in self._shards)))


def _of(answer: Awaitable[T] | T) -> Awaitable[T]:
    """Narrow the type of a command: redis-py types its commands for both the sync and the async client."""
    return cast("Awaitable[T]", answer)
