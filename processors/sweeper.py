"""Finds accepted pairs that nobody is going to render, and queues them: from the store alone, so it survives FLUSHALL.

A post is unfinished when it has an intake object and no media object; queueing one whose job is queued or running is a
no-op by its job id, so the sweeper need not know which are on their way. Intake is listed before media: a post that
finishes between the two listings is not queued again. A media object of a deleted post is what a deletion left that was
broken off; it is fenced as that would have done (existence.py). Tombstones, known by their length, are removed when the
moment can accept nothing any more. Dead jobs are left alone, purged or not, until ops or a new post queue them again;
the jobs of a queue shard that is away are left to the next pass.

A pass over a moment costs two listings for each of 256 spreads. It goes in steps of a few spreads, evenly over the time
that the moment rests between two passes, which is the longer the older the moment (`rest_s`). How far each pass is
stands in Redis, so that another sweeper goes on where this one stopped. Where Redis was emptied or restarted there is
no such cursor, and the first pass goes as fast as it can: it fills the queue. The next one finds that the moment's
counts are not complete, and tells the index of every post again, which restores its entries and the counts. Any pass
that finds an entry of a deleted post tells the index of the deletion.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import msgspec
from redis.asyncio import Redis

from storage import keys
from storage.blobs import BlobStore
from storage.existence import Existence
from storage.index import Index
from storage.keys import BY_HAND_KEY, CURSORS_KEY, SWEPT_KEY
from storage.moments import Moments
from storage.posts import Posts
from storage.queue.jobs import jobs_of
from storage.queue.shards import Shards, those_that_answer
from storage.records import Moment, to_ms
from storage.together import together
from storage.tombstones import SIZE as TOMBSTONE_SIZE

from .letters import DeadLetters
from .passes import OPEN_MS, SWEPT_MS, Cursor, next_due, parse_cursor

# How many spreads are listed at once, and how many jobs go to the queue in one script call.
WIDTH = 16
BATCH = 256
# Who broke a sweep off by hand goes on with it within a day.
BY_HAND_TTL_S = 24 * 3600


class Swept(msgspec.Struct, frozen=True):
    """What a sweep met and did."""

    moments: int = 0
    posts: int = 0
    unfinished: int = 0
    queued: int = 0
    tidied: int = 0
    recounted: int = 0

    @property
    def found_work(self) -> bool:
        """Whether something was not as it should be, so that the next step is worth hurrying for."""
        return bool(self.queued or self.tidied or self.recounted)

    def __add__(self, other: "Swept") -> "Swept":
        return Swept(
            self.moments + other.moments,
            self.posts + other.posts,
            self.unfinished + other.unfinished,
            self.queued + other.queued,
            self.tidied + other.tidied,
            self.recounted + other.recounted,
        )

    def __str__(self) -> str:
        return (
            f"{self.moments} moments, {self.posts} posts, {self.unfinished} unfinished: "
            f"{self.queued} jobs queued, {self.tidied} leftovers of deleted posts removed, "
            f"{self.recounted} posts told to the index anew"
        )


class Found(msgspec.Struct, frozen=True):
    """What a part of a moment has: posts with a pair, and posts with a tombstone."""

    accepted: set[str] = set()
    deleted: set[str] = set()


class Sweeper:
    """Sweeps moments of one store into one Redis. Methods raise blobs.StoreUnavailable and redis.RedisError."""

    def __init__(
        self, store: BlobStore, redis: Redis, *, every_s: float, shards: Mapping[str, Redis] | None = None
    ) -> None:
        shards = shards or {"": redis}
        self._store = store
        self._redis = redis
        self._index = Index(redis)
        self._moments = Moments(store, self._index)
        self._posts = Posts(store, self._index)
        self._existence = Existence(store)
        self._queue = Shards(shards)
        self._dead = DeadLetters(*shards.values())
        self._every_s = every_s

    @property
    def pace_s(self) -> float:
        """How often to ask for a step: twice as often as one is due in the youngest moment."""
        return self._every_s * WIDTH / len(keys.SPREADS) / 2

    async def step(self, now_s: float) -> Swept | None:
        """The step that is due the longest; None when none is."""
        cursors = await self._cursors()
        moments = await self._accepting(now_s)
        moment_id = next_due(moments, cursors, now_s, self._every_s)
        if moment_id is None:
            return None
        cursor = cursors.get(moment_id)
        if cursor is None:
            cursor = Cursor(0, 0.0)
        elif cursor.done >= len(keys.SPREADS):
            cursor = Cursor(0, now_s, await self._generation(moment_id))
        swept, cursor = await self._advance(moment_id, cursor, now_s)
        pipe = self._redis.pipeline(transaction=False)
        pipe.hset(CURSORS_KEY, mapping={moment_id: msgspec.json.encode(cursor)})
        gone = cursors.keys() - {moment.id for moment in moments}
        if gone:
            pipe.hdel(CURSORS_KEY, *gone)
        await pipe.execute()
        return swept

    async def sweep(self, now_s: float) -> Swept:
        """By hand: every moment that accepts posts, whenever it was swept last."""
        await self._redis.ping()  # the moments alone could be had from the store
        swept = Swept()
        for moment in await self._accepting(now_s):
            if to_ms(moment.fires_at) <= now_s * 1000:
                swept += await self.moment(moment.id, now_s)
        return swept

    async def moment(self, moment_id: str, now_s: float) -> Swept:
        """By hand: one moment, all of it, from where an earlier such sweep was broken off; moments.NoSuchMoment."""
        await self._moments.get(moment_id)
        known = await self._redis.hget(BY_HAND_KEY, moment_id)  # type: ignore[misc] # redis-py's types
        cursor = parse_cursor(known) or Cursor(0, 0.0, await self._generation(moment_id))
        swept = Swept()
        while cursor.done < len(keys.SPREADS):
            step, cursor = await self._advance(moment_id, cursor, now_s)
            swept += step
            pipe = self._redis.pipeline(transaction=False)
            pipe.hset(BY_HAND_KEY, mapping={moment_id: msgspec.json.encode(cursor)})
            pipe.expire(BY_HAND_KEY, BY_HAND_TTL_S)
            await pipe.execute()
        await self._redis.hdel(BY_HAND_KEY, moment_id)  # type: ignore[misc] # redis-py's types
        return swept

    async def _accepting(self, now_s: float) -> list[Moment]:
        """Moments that may get posts, or did until just now."""
        now_ms = int(now_s * 1000)
        return await self._moments.since(now_ms - SWEPT_MS, now_ms)

    async def _cursors(self) -> dict[str, Cursor]:
        """The cursors; none where Redis is another than the one that they were written to: it may have lost jobs."""
        if await self._redis_is_another():
            await self._redis.delete(CURSORS_KEY)
            return {}
        found: dict[bytes, bytes] = await self._redis.hgetall(CURSORS_KEY)  # type: ignore[misc] # redis-py's types
        read = {name.decode(errors="replace"): parse_cursor(raw) for name, raw in found.items()}
        return {name: cursor for name, cursor in read.items() if cursor is not None}

    async def _redis_is_another(self) -> bool:
        """Whether a Redis was emptied or restarted since the last step: our mark is gone, or not of this run."""

        async def is_another(redis: Redis) -> bool:
            run_id = str((await redis.info("server"))["run_id"])
            mark: bytes | None = await redis.set(SWEPT_KEY, run_id, get=True)
            return mark is None or mark.decode() != run_id

        shards = self._queue.clients.values()
        return any([await is_another(self._redis), *await those_that_answer(is_another(one) for one in shards)])

    async def _generation(self, moment_id: str) -> str:
        """The generation to recount a moment's posts in; empty where its counts are complete."""
        return await self._index.recount(moment_id) if await self._index.counts(moment_id) is None else ""

    async def _advance(self, moment_id: str, cursor: Cursor, now_s: float) -> tuple[Swept, Cursor]:
        """The next few spreads of a pass; the index is told of what they hold where it is being recounted."""
        spreads = keys.SPREADS[cursor.done : cursor.done + WIDTH]
        swept, found = Swept(), Found()
        for part, there in await together([partial(self._spread, one, moment_id) for one in spreads], "sweep-spread"):
            swept += part
            found = Found(found.accepted | there.accepted, found.deleted | there.deleted)
        if cursor.generation:
            async for posts in self._posts.stored_some(moment_id, sorted(found.accepted)):
                await self._index.observe(posts)
                swept += Swept(recounted=len(posts))
        await self._tell_deletions(moment_id, sorted(found.deleted))
        if found.deleted and await self._is_over(moment_id, now_s):
            for post_id in found.deleted:
                await self._existence.clear(moment_id, post_id)
        cursor = msgspec.structs.replace(cursor, done=cursor.done + len(spreads))
        if cursor.done >= len(keys.SPREADS):
            swept += Swept(moments=1)
            if cursor.generation:
                await self._index.counts_are_complete(moment_id, cursor.generation)
        return swept, cursor

    async def _is_over(self, moment_id: str, now_s: float) -> bool:
        """Whether nothing can be posted in the moment any more."""
        return now_s * 1000 > to_ms((await self._moments.get(moment_id)).fires_at) + OPEN_MS

    async def _tell_deletions(self, moment_id: str, post_ids: Sequence[str]) -> None:
        """The index may show deleted posts: it refused to forget them, or was restored from an older copy."""
        for entry in await self._index.posts(post_ids) if post_ids else ():
            there = await self._existence.look(moment_id, entry.id) if entry is not None else None
            if entry is not None and there is not None and there.tombstone is not None:
                await self._index.forget(entry.id, moment_id, there.decided)

    async def _spread(self, spread: str, moment_id: str) -> tuple[Swept, Found]:
        """What was met and done in one spread, and what it has."""
        accepted, deleted = await self._listed(keys.intake_prefix(spread, moment_id))
        finished, _ = await self._listed(keys.media_prefix(spread, moment_id))
        unfinished = sorted(accepted - finished)
        queued = 0
        for start in range(0, len(unfinished), BATCH):
            queued += await self._enqueue(moment_id, unfinished[start : start + BATCH])
        tidied = 0
        for post_id in finished - accepted:
            tidied += await self._existence.fence(moment_id, post_id)
        swept = Swept(posts=len(accepted), unfinished=len(unfinished), queued=queued, tidied=tidied)
        return swept, Found(accepted, deleted)

    async def _listed(self, prefix: str) -> tuple[set[str], set[str]]:
        """Posts with an object there, and those with a tombstone; what is not named by one is somebody else's."""
        found: tuple[set[str], set[str]] = set(), set()
        async for entry in self._store.list(prefix):
            if keys.is_post_id(name := keys.name_in(entry.key)):
                found[entry.size == TOMBSTONE_SIZE].add(name)
        return found

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
        return await self._queue.offer(jobs)
