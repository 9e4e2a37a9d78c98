"""Several Redis servers as one queue: the post's id alone decides which shard has the post's jobs.

Rendezvous hashing: a shard's weight for a post is a hash of both, and the heaviest shard is the home. Adding or
removing a shard moves only the posts that it gains or had. A shard that is unavailable affects only its own jobs, which
the sweeper queues again when the shard is back. The same shard has the post's index entry (sharded_index.py), its part
of the counts, and the upload limit. Usually there is one shard: `SNAPSURGE_REDIS_URL`.
"""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import reduce
from operator import add
from typing import TypeVar

from redis.asyncio import Redis
from redis.exceptions import RedisError

from ..refusals import reason
from .claims import note_deaths
from .jobs import Depth, Job, Queue

log = logging.getLogger("snapsurge.storage.shards")

T = TypeVar("T")


def home(post_id: str, names: Iterable[str]) -> str:
    """The name of the shard that has this post."""
    return max(names, key=lambda name: hashlib.blake2b(f"{name}\0{post_id}".encode(), digest_size=8).digest())


class Shards:
    """The queues of all shards. Methods raise redis.RedisError if a shard that they need is unavailable."""

    def __init__(self, clients: Mapping[str, Redis]) -> None:
        self.clients = clients
        self._queues = {name: Queue(redis) for name, redis in clients.items()}
        self._away: set[str] = set()

    async def enqueue(self, jobs: Sequence[Job]) -> int:
        """Queue each job on its shard; returns how many were not queued already.

        Jobs of an unavailable shard are not queued; redis.RedisError only if all shards involved are unavailable.
        """
        parts = self._parts(jobs).items()
        return sum(await those_that_answer(self._queues[name].enqueue(part) for name, part in parts))

    async def offer(self, jobs: Sequence[Job]) -> int:
        """Like `enqueue`, for callers that repeat the call: jobs of an unavailable shard are left for the next call."""
        return sum(await self._each(jobs, Queue.enqueue))

    async def unqueued(self, jobs: Sequence[Job]) -> list[Job]:
        """Those of these jobs, a few hundred, that are not queued on their shard; none of an unavailable shard."""
        return [job for some in await self._each(jobs, Queue.unqueued) for job in some]

    async def remove(self, jobs: Sequence[Job]) -> int:
        """Remove jobs that are not running, and their dead letters, from every shard; returns how many there were."""
        return sum(await asyncio.gather(*(queue.remove(jobs) for queue in self._queues.values())))

    async def _each(self, jobs: Sequence[Job], call: Callable[[Queue, Sequence[Job]], Awaitable[T]]) -> list[T]:
        """The answers of the shards that have these jobs, without unavailable shards, which are logged."""
        parts = self._parts(jobs)
        calls = [call(self._queues[name], part) for name, part in parts.items()]
        found: list[T] = []
        for name, answer in zip(parts, await asyncio.gather(*calls, return_exceptions=True), strict=True):
            if isinstance(answer, RedisError | OSError):
                self._say_away(name, answer)
            elif isinstance(answer, BaseException):
                raise answer
            else:
                found.append(answer)
                self._say_away(name, None)
        return found

    async def depth(self) -> Depth:
        """The sum over all shards that answer; redis.RedisError if none does."""
        return reduce(add, await those_that_answer(queue.depth() for queue in self._queues.values()))

    async def note_deaths(self, workers: Sequence[str]) -> None:
        """Record workers that were lost, whether or not they ran a job, on all shards that answer."""
        if workers:
            await those_that_answer(note_deaths(redis, workers) for redis in self.clients.values())

    def _parts(self, jobs: Sequence[Job]) -> dict[str, list[Job]]:
        """The jobs by their home shard."""
        parts: dict[str, list[Job]] = {}
        for job in jobs:
            parts.setdefault(home(job.post_id, self._queues), []).append(job)
        return parts

    def _say_away(self, name: str, error: BaseException | None) -> None:
        """Log when a shard becomes unavailable or available, not every failure."""
        if error is not None and name not in self._away:
            log.warning("shard %s is unavailable, its jobs are left for the next sweep: %s", name, reason(error))
            self._away.add(name)
        elif error is None and name in self._away:
            log.warning("shard %s is available again", name)
            self._away.discard(name)


async def those_that_answer(calls: Iterable[Awaitable[T]]) -> list[T]:
    """The results of the calls that succeed; the first error if all servers are unavailable."""
    answers = await asyncio.gather(*calls, return_exceptions=True)
    found: list[T] = []
    away: BaseException | None = None
    for answer in answers:
        if not isinstance(answer, BaseException):
            found.append(answer)
        elif isinstance(answer, RedisError | OSError):
            away = away or answer
        else:
            raise answer
    if away and not found:
        try:
            raise away
        finally:
            del away, answer, answers
    return found
