"""Several Redis as one queue: each post's jobs have one home among them, found by its id alone.

Rendezvous hashing: a shard's weight for a post is a hash of both, the heaviest is home; adding or losing a shard moves
only the jobs that it wins or had. A shard that is away costs its own jobs alone, and the sweeper queues them again
when it is back. One shard, the index' own Redis, is the usual case.
"""

import asyncio
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from operator import add

from redis.asyncio import Redis
from redis.exceptions import RedisError

from .queue import Depth, Job, Queue


def home(post_id: str, names: Iterable[str]) -> str:
    """Which of the shards has the jobs of this post."""
    return max(names, key=lambda name: hashlib.blake2b(f"{name}\0{post_id}".encode(), digest_size=8).digest())


class Shards:
    """The queues by the names of their Redis. Methods raise redis.RedisError where one that is needed is away."""

    def __init__(self, clients: Mapping[str, Redis]) -> None:
        self.clients = clients
        self._queues = {name: Queue(redis) for name, redis in clients.items()}

    async def enqueue(self, jobs: Sequence[Job]) -> int:
        """Queue jobs where they belong, and say how many were not queued already; what can be queued is."""
        parts: dict[str, list[Job]] = {}
        for job in jobs:
            parts.setdefault(home(job.post_id, self._queues), []).append(job)
        answers = await asyncio.gather(
            *(self._queues[name].enqueue(part) for name, part in parts.items()), return_exceptions=True
        )
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return sum(one for one in answers if isinstance(one, int))

    async def depth(self) -> Depth:
        """All that answer, together."""
        answers = await asyncio.gather(*(queue.depth() for queue in self._queues.values()), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, RedisError | OSError):
                raise answer
        depths = [one for one in answers if isinstance(one, Depth)]
        if not depths and isinstance(answers[0], BaseException):
            raise answers[0]
        return reduce(add, depths)
