"""Reports committed posts to Redis: index entries and jobs, for many uploads in one round trip to each shard.

Uploads that arrive within a few milliseconds share a batch, with one batcher for each shard, so that an unavailable
shard does not delay answers of other shards. While a shard is unavailable no upload waits for it. The node remembers
those posts and reports them again when Redis takes writes; the sweeper finds those that a node forgot because it ended
or remembered too many.

The node asks each shard for a proof once a second (`storage/index.py`), and a post is reported with the proof of before
its commit. A report that comes too late for its proof adds nothing to the index, because the post may be deleted by
now. Its jobs, queued in the same round trip, look in the store.
"""

import asyncio
import contextlib
import logging
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

from storage.index import Report
from storage.queue.batch import Batcher
from storage.queue.jobs import Job, Queue, jobs_of
from storage.queue.shards import Shards
from storage.records import Post
from storage.refusals import reason
from storage.scripts import run
from storage.sharded_index import ShardedIndex

from .outages import Outage

log = logging.getLogger("snapsurge.ingest.announcing")

# A shard that failed is not called again for this long: one timeout per second is visible in logs, while a timeout in
# every batch would delay uploads more and more.
AWAY_S = 1.0
OWED_MAX = 10_000  # posts remembered for a shard, about 1 KiB each
AGAIN_POSTS = 256  # posts in one call of the second report
PROOFS_S = 1.0  # well within index_scripts.FRESH_MS, after which a proof is void
Tell = Callable[[Sequence["Announced"]], Awaitable[Sequence[None]]]


class Announced(msgspec.Struct, frozen=True):
    """A committed post, whether it is late, when it was committed (unix ms, 0: unknown), and a proof of before that."""

    post: Post
    late: bool
    committed_ms: int = 0
    proof: str = ""

    @property
    def jobs(self) -> tuple[Job, Job]:
        """The jobs to queue."""
        return jobs_of(self.post.moment_id, self.post.id, late=self.late, committed_ms=self.committed_ms)


class Announcer:
    """`async with Announcer(…) as announcer: await announcer.add(post, late=…)`; leaving flushes what is waiting.

    `queue` is for jobs that do not belong to an upload.
    """

    def __init__(self, index: ShardedIndex, shards: Mapping[str, Redis], *, linger_s: float) -> None:
        self._index = index
        self.queue = Shards(shards)
        self._tell = {name: self._telling(name, client) for name, client in shards.items()}
        self._batchers: dict[str, Batcher[Announced, None]] = {
            name: Batcher(tell, linger_s=linger_s) for name, tell in self._tell.items()
        }
        self._owed: dict[str, deque[Announced]] = {name: deque(maxlen=OWED_MAX) for name in shards}
        self._outages = {name: Outage() for name in shards}
        self._proofs = dict.fromkeys(shards, "")
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for batcher in self._batchers.values():
            await self._stack.enter_async_context(batcher)
        tasks = await self._stack.enter_async_context(asyncio.TaskGroup())
        self._stack.callback(tasks.create_task(self._report_again(), name="report-again").cancel)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*map(self._ask_proof, self._proofs)), PROOFS_S)
        for name in self._proofs:
            self._stack.callback(tasks.create_task(self._keep_proof(name), name="keep-proof").cancel)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    def proof(self, post_id: str) -> str:
        """The last proof of the post's shard, to be taken before the post is committed or read; may be empty."""
        return self._proofs[self._index.home(post_id)]

    async def add(self, post: Post, *, late: bool, committed_ms: int = 0, proof: str = "") -> None:
        """Report the post and queue its jobs.

        redis.RedisError when the post's shard was unavailable; the post is then reported again later.
        """
        name, announced = self._index.home(post.id), Announced(post, late, committed_ms, proof)
        try:
            await self._batchers[name].add(announced)
        except RedisError as error:
            self._owed[name].append(announced)
            if self._outages[name].failed(time.monotonic()):
                log.warning(
                    "Redis %s rejects writes (%s): posts are still stored; their jobs are queued when Redis accepts "
                    "writes again. Fix Redis",
                    name,
                    reason(error),
                )
            raise

    async def _keep_proof(self, name: str) -> None:
        while True:
            await asyncio.sleep(PROOFS_S)
            await self._ask_proof(name)

    async def _ask_proof(self, name: str) -> None:
        with contextlib.suppress(RedisError, OSError):  # the last one stays, and is soon too old
            self._proofs[name] = await self._index.shards[name].proof()

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
                        self._outages[name].failed(time.monotonic())
                        break
                else:
                    if self._outages[name].worked(time.monotonic()):
                        log.info(
                            "Redis %s accepts writes again: all posts that were stored meanwhile are reported", name
                        )

    def _telling(self, name: str, client: Redis) -> Tell:
        """The flush function for the posts of one shard."""
        index = self._index.shards[name]
        away_until = 0.0

        async def tell(some: Sequence[Announced]) -> Sequence[None]:
            nonlocal away_until
            if time.monotonic() < away_until:
                raise RedisConnectionError("this shard failed less than a moment ago")
            jobs = [job for one in some for job in one.jobs]
            try:
                reports = [Report(one.post, one.proof) for one in some]
                await run(client, index.observing(reports), Queue.enqueueing(jobs))
            except RedisError:
                away_until = time.monotonic() + AWAY_S
                raise
            return [None] * len(some)

        return tell
