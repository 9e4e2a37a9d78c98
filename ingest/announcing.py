"""Reports committed posts to Redis: index entries and jobs, for many uploads in one round trip to each Redis.

Uploads that arrive within a few milliseconds share a batch, with one batcher for each queue shard, so that an
unavailable shard does not delay answers of other shards. While a shard is unavailable no upload waits for it. The node
remembers those posts and reports them again when Redis takes writes; the sweeper finds those that a node forgot because
it ended or remembered too many. If the queue is in the same Redis as the index, as usual, both go in one round trip.
"""

import asyncio
import time
from collections import deque
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
OWED_MAX = 10_000  # posts remembered for a shard, about 1 KiB each
AGAIN_POSTS = 256  # posts in one call of the second report
Tell = Callable[[Sequence["Announced"]], Awaitable[Sequence[None]]]


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
        self._tell = {name: self._telling(client) for name, client in shards.items()}
        self._batchers: dict[str, Batcher[Announced, None]] = {
            name: Batcher(tell, linger_s=linger_s) for name, tell in self._tell.items()
        }
        self._owed: dict[str, deque[Announced]] = {name: deque(maxlen=OWED_MAX) for name in shards}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for batcher in self._batchers.values():
            await self._stack.enter_async_context(batcher)
        tasks = await self._stack.enter_async_context(asyncio.TaskGroup())
        self._stack.callback(tasks.create_task(self._report_again(), name="report-again").cancel)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    async def add(self, post: Post, *, late: bool) -> None:
        """Report the post and queue its jobs.

        redis.RedisError when the index or the post's shard was unavailable; the post is then reported again later.
        """
        name, announced = home(post.id, self._batchers), Announced(post, late)
        try:
            await self._batchers[name].add(announced)
        except RedisError:
            self._owed[name].append(announced)
            raise

    async def _report_again(self) -> None:
        while True:
            await asyncio.sleep(AWAY_S)
            for name, owed in self._owed.items():
                while owed:
                    some = [owed.popleft() for _ in range(min(len(owed), AGAIN_POSTS))]
                    try:
                        # A repeated report changes nothing: the index compares attempts, and a job has one id.
                        await self._tell[name](some)
                    except RedisError:
                        owed.extendleft(reversed(some))
                        break

    def _telling(self, client: Redis) -> Tell:
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
