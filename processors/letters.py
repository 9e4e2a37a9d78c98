"""Dead letters: the jobs that were given up, kept with all that ops need to run them again or to see why not.

A hash a Redis (`snapsurge:dead`, job id → JSON), so that one job has one letter and the sweeper can leave dead jobs
alone. Letters are written by the claim's own settlement (storage/claims.py), so that only who holds a job can bury it.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Literal, TypeVar, cast

import msgspec
from redis.asyncio import Redis

from storage.queue import DEAD_KEY
from storage.records import Timestamp
from storage.shards import those_that_answer

T = TypeVar("T")

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
        """Which of these jobs are dead, as far as Redis answers."""
        if not job_ids:
            return set()
        found = await those_that_answer(_of(shard.hmget(DEAD_KEY, list(job_ids))) for shard in self._shards)
        return {one for letters in found for one, letter in zip(job_ids, letters, strict=True) if letter is not None}

    async def all(self) -> list[DeadLetter]:
        """Every letter, the oldest first."""
        found = await asyncio.gather(*(_of(shard.hgetall(DEAD_KEY)) for shard in self._shards))
        letters = [parse_letter(job_id, raw) for some in found for job_id, raw in some.items()]
        return sorted(letters, key=lambda one: one.at)

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
