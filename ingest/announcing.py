"""Reports committed posts to Redis: index entries and jobs, for many uploads in one round trip to each Redis.

Uploads that arrive within a few milliseconds share a batch, with one batcher for each queue shard, so that an
unavailable shard does not delay answers of other shards. While a shard is unavailable no upload waits for it, and the
sweeper queues the missing jobs. If the queue is in the same Redis as the index, as usual, both go in one round trip.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import msgspec
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from storage.index import Index
from storage.queue.batch import Batcher
from storage.queue.jobs import Job, Queue, jobs_of
from storage.queue.shards import Shards, home
from storage.records import Post

# A shard that failed is not called again for this long: one timeout per second is visible in logs, while a timeout in
# every batch would delay uploads more and more.
AWAY_S = 1.0


class Announced(msgspec.Struct, frozen=True):
    """A committed post, and whether it is late."""

    post: Post
    late: bool


class Announcer:
    """`async with Announcer(…) as announcer: await announcer.add(post, late=…)`; leaving flushes what is waiting.

    `queue` is for jobs that do not belong to an upload.
    """

    def __init__(self, redis: Redis, index: Index, shards: Mapping[str, Redis], *, linger_s: float) -> None:
        self._redis = redis
        self._index = index
        self.queue = Shards(shards)
        self._batchers: dict[str, Batcher[Announced, None]] = {
            name: Batcher(self._telling(client), linger_s=linger_s) for name, client in shards.items()
        }
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for batcher in self._batchers.values():
            await self._stack.enter_async_context(batcher)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    async def add(self, post: Post, *, late: bool) -> None:
        """Report the post and queue its jobs; redis.RedisError when the index or the post's shard was unavailable."""
        await self._batchers[home(post.id, self._batchers)].add(Announced(post, late))

    def _telling(self, client: Redis) -> Callable[[Sequence[Announced]], Awaitable[Sequence[None]]]:
        """The flush function for the posts of one shard."""
        queue = Queue(client)
        away_until = 0.0

        async def enqueue(jobs: Sequence[Job]) -> None:
            nonlocal away_until
            if time.monotonic() < away_until:
                raise RedisConnectionError("this queue shard failed less than a moment ago")
            try:
                await queue.enqueue(jobs)
            except RedisError:
                away_until = time.monotonic() + AWAY_S
                raise

        async def tell(some: Sequence[Announced]) -> Sequence[None]:
            jobs = [job for one in some for job in jobs_of(one.post.moment_id, one.post.id, late=one.late)]
            pipe = self._redis.pipeline(transaction=False)
            self._index.observe_in(pipe, [one.post for one in some])
            if client is self._redis:
                queue.enqueue_in(pipe, jobs)
                await pipe.execute()
            else:
                for answer in await asyncio.gather(pipe.execute(), enqueue(jobs), return_exceptions=True):
                    if isinstance(answer, BaseException):
                        raise answer
            return [None] * len(some)

        return tell
