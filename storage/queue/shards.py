"""Several Redis as one queue: each post's jobs have one home among them, found by its id alone.

Rendezvous hashing: a shard's weight for a post is a hash of both, the heaviest is home; adding or losing a shard moves
only the jobs that it wins or had. A shard that is away costs its own jobs alone, and the sweeper queues them again
when it is back. One shard, the index' own Redis, is the usual case.
"""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Iterable, Mapping, Sequence
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
    """Which of the shards has the jobs of this post."""
    return max(names, key=lambda name: hashlib.blake2b(f"{name}\0{post_id}".encode(), digest_size=8).digest())


class Shards:
    """The queues by the names of their Redis. Methods raise redis.RedisError where one that is needed is away."""

    def __init__(self, clients: Mapping[str, Redis]) -> None:
        self.clients = clients
        self._queues = {name: Queue(redis) for name, redis in clients.items()}
        self._away: set[str] = set()

    async def enqueue(self, jobs: Sequence[Job]) -> int:
        """Queue jobs where they belong, and say how many were not queued already.

        Those of a shard that is away are not; redis.RedisError only when that is true of all.
        """
        parts = self._parts(jobs).items()
        return sum(await those_that_answer(self._queues[name].enqueue(part) for name, part in parts))

    async def offer(self, jobs: Sequence[Job]) -> int:
        """As `enqueue`, for who will come again: the jobs of a shard that is away are left to the next time."""
        if not jobs:
            return 0
        parts = self._parts(jobs)
        calls = [self._queues[name].enqueue(part) for name, part in parts.items()]
        queued = 0
        for name, answer in zip(parts, await asyncio.gather(*calls, return_exceptions=True), strict=True):
            if isinstance(answer, RedisError | OSError):
                self._say_away(name, answer)
            elif isinstance(answer, BaseException):
                raise answer
            else:
                queued += answer
                self._say_away(name, None)
        return queued

    async def depth(self) -> Depth:
        """All that answer, together; redis.RedisError when none does."""
        return reduce(add, await those_that_answer(queue.depth() for queue in self._queues.values()))

    async def note_deaths(self, workers: Sequence[str]) -> None:
        """Workers that were lost, whether or not they ran a job; told to all shards that answer."""
        if workers:
            await those_that_answer(note_deaths(redis, workers) for redis in self.clients.values())

    def _parts(self, jobs: Sequence[Job]) -> dict[str, list[Job]]:
        """The jobs by the shard where they belong."""
        parts: dict[str, list[Job]] = {}
        for job in jobs:
            parts.setdefault(home(job.post_id, self._queues), []).append(job)
        return parts

    def _say_away(self, name: str, error: BaseException | None) -> None:
        """Log the change, not every failure."""
        if error is not None and name not in self._away:
            log.warning("queue shard %s is away, its jobs are left for the next sweep: %s", name, reason(error))
            self._away.add(name)
        elif error is None and name in self._away:
            log.warning("queue shard %s is back", name)
            self._away.discard(name)


async def those_that_answer(calls: Iterable[Awaitable[T]]) -> list[T]:
    """The results of the Redis that are there; the first error when all are away."""
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
        raise away
    return found
