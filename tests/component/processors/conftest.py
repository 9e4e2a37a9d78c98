"""A small world to test jobs and sweeps: a file store, a real Redis, one open moment, users who post and delete."""

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from PIL import Image
from redis.asyncio import Redis

from processors.metrics import Metrics
from processors.post_jobs import Jobs, PostIndex
from processors.render.images import Renditions, render
from processors.render.renderer import finished
from processors.runs import Run
from storage import intake, keys, media, tombstones
from storage.blobs import BlobMissing, BlobStore, Buffer
from storage.existence import Existence
from storage.files import FileStore
from storage.index import Index, Observed, Report
from storage.moments import Moments
from storage.posts import Posts
from storage.queue.jobs import QUEUES, Queue, jobs_of
from storage.records import Photo, Photos, Post, Receipt, accepted, attempt_id, from_ms, to_ms
from storage.zips import TAIL_BYTES
from tests.reports import observed

FIRES_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z


def photo(colour: str) -> bytes:
    """A small JPEG of one colour."""
    out = io.BytesIO()
    Image.new("RGB", (96, 128), colour).save(out, "JPEG")
    return out.getvalue()


class Busy(FileStore):
    """A store that runs the next of its actions just before each write of a media object, while actions are left."""

    def __init__(self, root: Path, *happenings: Callable[[], Awaitable[Any]]) -> None:
        super().__init__(root)
        self.happenings = list(happenings)
        self.written = 0

    async def create(self, key: str, *parts: Buffer) -> None:
        """Run the next action, then write."""
        if "/media/" in key:
            self.written += 1
            if self.happenings:
                await self.happenings.pop(0)()
        await super().create(key, *parts)


class Counting(FileStore):
    """A store that counts its requests."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.requests: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        """Count any method of the store's port."""
        if name in {"create", "swap", "read", "read_range", "read_tail", "delete"}:
            self.requests.append(name)
        return super().__getattribute__(name)


class Unbatched:
    """The index as jobs use it, each call for itself."""

    def __init__(self, index: Index) -> None:
        self.index = index

    async def post(self, post_id: str) -> Post | None:
        """One post's record."""
        return (await self.index.posts([post_id]))[0]

    async def proof(self, _post_id: str) -> str:
        """A proof."""
        return await self.index.proof()

    async def observe(self, post: Post, proof: str = "") -> Observed:
        """Report one post."""
        return (await self.index.observe([Report(post, proof)]))[0]


class World:
    """Store, Redis and one moment; each attempt to post or delete is one second after the previous attempt."""

    def __init__(self, store: FileStore, redis: Redis, threads: ThreadPoolExecutor) -> None:
        self.store = store
        self.redis = redis
        self.index = Index(redis)
        self.queue = Queue(redis)
        self.moments = Moments(store, self.index)
        self.posts = Posts(store, self.index)
        self.existence = Existence(store)
        self.attempts: list[str] = []
        self.metrics = Metrics()
        self.threads = threads
        self.moment_id = ""

    def jobs(
        self,
        *,
        store: BlobStore | None = None,
        redis: Redis | None = None,
        renders: Callable[..., Renditions] = render,
        index: PostIndex | None = None,
    ) -> Jobs:
        """A worker's jobs, on the world's store and Redis unless others are given."""
        used = Index(redis or self.redis)
        moments = Moments(store or self.store, used)

        async def rendered(archive: bytes, *, full: bool, run: Run, **_: bool) -> tuple[Post, bytes]:
            loop = asyncio.get_running_loop()
            self.metrics.busy_s += 0.001
            return await loop.run_in_executor(
                self.threads, lambda: finished(intake.unpack(archive), renders, full=full, run=run)
            )

        return Jobs(
            store or self.store,
            index or Unbatched(used),
            moments,
            render=rendered,
            metrics=self.metrics,
            enqueue=self.queue.enqueue,
        )

    def busy(self, *happenings: Callable[[], Awaitable[Any]]) -> Busy:
        """The world's store, which runs these actions before a media object is written."""
        return Busy(self.store.root, *happenings)

    def counting(self) -> Counting:
        """The world's store, which counts requests."""
        return Counting(self.store.root)

    def attempt(self) -> str:
        """The id of the next attempt."""
        self.attempts.append(attempt_id(FIRES_MS + 1000 * len(self.attempts), b"0123456789"))
        return self.attempts[-1]

    def receipt(self, user: str, *, after_ms: int = 1000) -> Receipt:
        """The receipt that a node writes for a pair received `after_ms` after the moment fired."""
        digest = hashlib.sha256(user.encode()).hexdigest()
        shot = Photo(sha256=digest, bytes=1, width=96, height=128, format="jpeg")
        return Receipt(
            id=keys.post_id(self.moment_id, user),
            moment_id=self.moment_id,
            user_id=user,
            received_at=from_ms(FIRES_MS + after_ms),
            closes_at=from_ms(FIRES_MS + 120_000),
            request_id="the client's own",
            attempt=self.attempt(),
            photos=Photos(front=shot, back=shot),
        )

    async def post(
        self,
        user: str = "alice",
        *,
        after_ms: int = 1000,
        front: bytes | None = None,
        told: bool = True,
    ) -> str:
        """Accept a pair as a node does and, if `told`, add it to the index; returns the post id."""
        receipt = self.receipt(user, after_ms=after_ms)
        first = photo("teal") if front is None else front
        assert await self.existence.commit(receipt, first, photo("navy")) is receipt
        if told:
            await observed(self.index, [accepted(receipt)])
        return receipt.id

    async def enqueue(self, *post_ids: str) -> int:
        """Queue both jobs of each post."""
        return await self.queue.enqueue([job for one in post_ids for job in jobs_of(self.moment_id, one)])

    async def queued(self) -> list[str]:
        """The ids of queued jobs, sorted."""
        return sorted([one.decode() for queue in QUEUES for one in await self.redis.zrange(queue, 0, -1)])

    async def delete(self, user: str = "alice") -> None:
        """Delete a post as a node does."""
        await self.posts.delete(keys.post_id(self.moment_id, user), self.attempt())

    async def record(self, post_id: str) -> Post | None:
        """The record in the media object; None when there is no object or a tombstone."""
        try:
            tail = (await self.store.read_tail(keys.media(self.moment_id, post_id), TAIL_BYTES)).body
        except BlobMissing:
            return None
        return None if tombstones.tombstone_in(tail) else media.record_in(tail)

    async def indexed(self, post_id: str) -> Post | None:
        """The post in the index."""
        return (await self.index.posts([post_id]))[0]

    async def counted(self) -> dict[str, int]:
        """The moment's counts that are not zero."""
        counts = await self.index.counts(self.moment_id)
        return {} if counts is None else {name: n for name, n in msgspec.structs.asdict(counts).items() if n}


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """A pool with one render thread."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


async def opened(store: FileStore, redis: Redis, threads: ThreadPoolExecutor) -> World:
    """A new world with one open moment."""
    made = World(store, redis, threads)
    moment = await made.moments.create("eu-west", FIRES_MS, 120)
    assert to_ms(moment.fires_at) == FIRES_MS
    made.moment_id = moment.id
    return made


@pytest.fixture
async def world(tmp_path: Path, redis: Redis, threads: ThreadPoolExecutor) -> AsyncIterator[World]:
    """A world on an empty file store and an empty Redis."""
    async with FileStore(tmp_path / "store") as store:
        yield await opened(store, redis, threads)


@pytest.fixture
async def any_world(store: Any, redis: Redis, threads: ThreadPoolExecutor) -> World:
    """A world on each of the two kinds of store."""
    return await opened(store, redis, threads)


@pytest.fixture
async def absent_redis(free_port: int) -> AsyncIterator[Redis]:
    """A client of a Redis that does not run."""
    async with Redis(port=free_port) as client:
        yield client
