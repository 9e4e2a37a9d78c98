"""Finds accepted pairs that nobody is going to render, and queues them: from the store alone, so it survives FLUSHALL.

A post is unfinished when it has an intake object and no media object; queueing one whose job is queued or running is a
no-op by its job id, so the sweeper need not know which are on their way. Intake is listed before media: a post that
finishes between the two listings is not queued again. A media object without intake is what a render left that was
overtaken by a deletion; it is removed after the store was asked once more, because the pair may be newer than the
first listing. Dead letters are left alone until ops requeue them.

A sweep costs two listings for each of 256 spreads, so a moment is swept the more seldom the older it is (`rest_s`), and
all at once after Redis was emptied or restarted.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from storage import keys
from storage.blobs import BlobStore, StoreUnavailable
from storage.index import Index
from storage.moments import Moments
from storage.queue import Queue, jobs_of
from storage.records import ACCEPTING_MS, Moment, to_ms

from .letters import DeadLetters

R = TypeVar("R")

# Posts accepted in the last second of the accepting period get swept too, with an hour for slow uploads.
MARGIN_MS = 3600 * 1000
# How many spreads are listed at once, and how many jobs go to the queue in one script call.
WIDTH = 16
BATCH = 256
# An old moment gets its late posts by the dozen: five minutes is soon enough, and 512 listings each cost little then.
REST_MAX_S = 300.0
# Holds the run id of the Redis that the last sweep met.
MARK_KEY = "snapsurge:swept"


class Swept(msgspec.Struct, frozen=True):
    """What a sweep met and did."""

    moments: int = 0
    posts: int = 0
    unfinished: int = 0
    queued: int = 0
    tidied: int = 0

    def __add__(self, other: "Swept") -> "Swept":
        return Swept(
            self.moments + other.moments,
            self.posts + other.posts,
            self.unfinished + other.unfinished,
            self.queued + other.queued,
            self.tidied + other.tidied,
        )

    def __str__(self) -> str:
        return (
            f"{self.moments} moments, {self.posts} posts, {self.unfinished} unfinished: "
            f"{self.queued} jobs queued, {self.tidied} leftovers of deleted posts removed"
        )


def rest_s(age_s: float, every_s: float) -> float:
    """How long a moment rests between two sweeps, by its age: a twentieth of it, between `every_s` and five minutes."""
    return max(every_s, min(age_s / 20, REST_MAX_S))


def due(moments: Iterable[Moment], last_swept_s: dict[str, float], now_s: float, every_s: float) -> list[str]:
    """Ids of the moments that accept posts, or did until just now, and have rested long enough. Unix seconds."""
    found = []
    for moment in moments:
        age_s = now_s - to_ms(moment.fires_at) / 1000
        accepts = 0 <= age_s <= (ACCEPTING_MS + MARGIN_MS) / 1000
        if accepts and now_s - last_swept_s.get(moment.id, 0) >= rest_s(age_s, every_s):
            found.append(moment.id)
    return found


class Sweeper:
    """Sweeps moments of one store into one Redis. Methods raise blobs.StoreUnavailable and redis.RedisError."""

    def __init__(self, store: BlobStore, redis: Redis, *, every_s: float) -> None:
        self._store = store
        self._redis = redis
        self._index = Index(redis)
        self._moments = Moments(store, self._index)
        self._queue = Queue(redis)
        self._dead = DeadLetters(redis)
        self._every_s = every_s
        self._last_swept_s: dict[str, float] = {}

    async def sweep(self, now_s: float) -> Swept:
        """Every moment that is due; all of them when Redis may have lost something."""
        since_ms = int(now_s * 1000) - ACCEPTING_MS - MARGIN_MS
        if await self._redis_is_another():
            self._last_swept_s.clear()
        swept = Swept()
        for moment_id in due(await self._moments.since(since_ms), self._last_swept_s, now_s, self._every_s):
            swept += await self.moment(moment_id)
            self._last_swept_s[moment_id] = now_s
        return swept

    async def _redis_is_another(self) -> bool:
        """Whether Redis was emptied or restarted since the last sweep: our mark is gone, or not of this run."""
        run_id = str((await self._redis.info("server"))["run_id"])
        mark: bytes | None = await self._redis.set(MARK_KEY, run_id, get=True)
        return mark is None or mark.decode() != run_id

    async def moment(self, moment_id: str) -> Swept:
        """One moment, all of it."""
        swept = Swept(moments=1)
        for start in range(0, len(keys.SPREADS), WIDTH):
            spreads = keys.SPREADS[start : start + WIDTH]
            for part in await _together([partial(self._spread, spread, moment_id) for spread in spreads]):
                swept += part
        return swept

    async def _spread(self, spread: str, moment_id: str) -> Swept:
        accepted = await self._listed(keys.intake_prefix(spread, moment_id))
        finished = await self._listed(keys.media_prefix(spread, moment_id))
        unfinished = sorted(accepted - finished)
        queued = 0
        for start in range(0, len(unfinished), BATCH):
            queued += await self._enqueue(moment_id, unfinished[start : start + BATCH])
        tidied = 0
        for post_id in finished - accepted:
            if not await self._store.exists(keys.intake(moment_id, post_id)):
                await self._store.delete(keys.media(moment_id, post_id))
                tidied += 1
        return Swept(posts=len(accepted), unfinished=len(unfinished), queued=queued, tidied=tidied)

    async def _listed(self, prefix: str) -> set[str]:
        return {keys.name_in(key) async for key in self._store.list(prefix)}

    async def _enqueue(self, moment_id: str, post_ids: Sequence[str]) -> int:
        """Queue what these posts still need: both jobs, or the render alone where the flag is known; never the dead."""
        known = await self._index.posts(post_ids)
        flagged = {post.id for post in known if post is not None and post.late is not None}
        needed = [
            job
            for post_id in post_ids
            for job in jobs_of(moment_id, post_id)
            if not (job.name == "flag_late" and post_id in flagged)
        ]
        dead = await self._dead.among([job.id for job in needed])
        jobs = [job for job in needed if job.id not in dead]
        return await self._queue.enqueue(jobs) if jobs else 0


async def _together(calls: Sequence[Callable[[], Coroutine[Any, Any, R]]]) -> list[R]:
    """All results in order; the first failure cancels the rest and is raised as itself."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(call(), name="sweep-spread") for call in calls]
    except* (StoreUnavailable, RedisError) as failures:
        raise failures.exceptions[0] from failures
    return [task.result() for task in tasks]
