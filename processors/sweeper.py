"""Queues the missing jobs of accepted pairs. It finds the pairs in the store, so jobs survive a FLUSHALL of Redis.

A post is unfinished when it has an intake object and no media object. The sweeper queues the jobs of each unfinished
post; where a job is queued or running already, its job id makes this a no-op. A media object whose post has no pair
is the rest of an interrupted deletion, and the sweeper finishes that deletion (existence.py). Tombstones are removed
once the moment accepts no more posts. Dead jobs, purged or not, stay dead until an operator or a new post queues them.
The jobs of a queue shard that does not answer wait for the next pass.

A pass over a moment costs two listings for each of 256 spreads. The sweeper takes a few spreads at a time and divides
these steps evenly over the moment's rest between two passes; old moments rest longer (`rest_s`). Redis holds the
cursor of each pass, so that another sweeper continues where this one stopped. A Redis that was emptied or restarted
has no cursors: the first pass then runs as fast as it can and fills the queue. The next pass finds the moment's counts
incomplete and reports every post to the index again, which restores the entries and the counts. A pass that finds an
index entry of a deleted post reports the deletion to the index.
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

WIDTH = 16  # Spreads listed at the same time.
BATCH = 256  # Jobs queued by one script call.
# For a day an operator can resume an interrupted manual sweep.
BY_HAND_TTL_S = 24 * 3600


class Swept(msgspec.Struct, frozen=True):
    """The counts of a sweep: what it found, and what it queued, removed and reported."""

    moments: int = 0
    posts: int = 0
    unfinished: int = 0
    queued: int = 0
    tidied: int = 0
    recounted: int = 0

    @property
    def found_work(self) -> bool:
        """Whether the sweep repaired something; the next step then follows at once."""
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
    """The post ids in a part of a moment: those with a pair, and those with a tombstone."""

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
        """Seconds between two calls of `step`: half the time between two steps in the youngest moment."""
        return self._every_s * WIDTH / len(keys.SPREADS) / 2

    async def step(self, now_s: float) -> Swept | None:
        """Do the most overdue step; None when no step is due."""
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
        """For operators: sweep every moment that accepts posts, however recent its last sweep is."""
        await self._redis.ping()  # Fail early: the store alone could list the moments.
        swept = Swept()
        for moment in await self._accepting(now_s):
            if to_ms(moment.fires_at) <= now_s * 1000:
                swept += await self.moment(moment.id, now_s)
        return swept

    async def moment(self, moment_id: str, now_s: float) -> Swept:
        """For operators: sweep one whole moment, or resume its interrupted manual sweep; moments.NoSuchMoment."""
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
        """The moments to sweep: those that fired within the last `SWEPT_MS`."""
        now_ms = int(now_s * 1000)
        return await self._moments.since(now_ms - SWEPT_MS, now_ms)

    async def _cursors(self) -> dict[str, Cursor]:
        """The cursors by moment; empty when a Redis was emptied or restarted, because it may have lost jobs."""
        if await self._redis_is_another():
            await self._redis.delete(CURSORS_KEY)
            return {}
        found: dict[bytes, bytes] = await self._redis.hgetall(CURSORS_KEY)  # type: ignore[misc] # redis-py's types
        read = {name.decode(errors="replace"): parse_cursor(raw) for name, raw in found.items()}
        return {name: cursor for name, cursor in read.items() if cursor is not None}

    async def _redis_is_another(self) -> bool:
        """Whether a Redis was emptied or restarted since the last step: the mark with its run id is gone or differs."""

        async def is_another(redis: Redis) -> bool:
            run_id = str((await redis.info("server"))["run_id"])
            mark: bytes | None = await redis.set(SWEPT_KEY, run_id, get=True)
            return mark is None or mark.decode() != run_id

        shards = self._queue.clients.values()
        return any([await is_another(self._redis), *await those_that_answer(is_another(one) for one in shards)])

    async def _generation(self, moment_id: str) -> str:
        """The generation for a recount of the moment's posts; empty when its counts are complete."""
        return await self._index.recount(moment_id) if await self._index.counts(moment_id) is None else ""

    async def _advance(self, moment_id: str, cursor: Cursor, now_s: float) -> tuple[Swept, Cursor]:
        """Sweep the next `WIDTH` spreads of a pass; during a recount, report their posts to the index."""
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
        """Whether the moment accepts no more posts."""
        return now_s * 1000 > to_ms((await self._moments.get(moment_id)).fires_at) + OPEN_MS

    async def _tell_deletions(self, moment_id: str, post_ids: Sequence[str]) -> None:
        """Remove deleted posts from the index, which missed the deletion or was restored from an older copy."""
        for entry in await self._index.posts(post_ids) if post_ids else ():
            there = await self._existence.look(moment_id, entry.id) if entry is not None else None
            if entry is not None and there is not None and there.tombstone is not None:
                await self._index.forget(entry.id, moment_id, there.decided)

    async def _spread(self, spread: str, moment_id: str) -> tuple[Swept, Found]:
        """Sweep one spread; its counts, and the posts found."""
        # Intake before media: a post that finishes between the two listings is not queued again.
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
        """The ids of posts with an object under the prefix, and of those with a tombstone; other names are ignored.

        The size alone tells a tombstone from a pair.
        """
        found: tuple[set[str], set[str]] = set(), set()
        async for entry in self._store.list(prefix):
            if keys.is_post_id(name := keys.name_in(entry.key)):
                found[entry.size == TOMBSTONE_SIZE].add(name)
        return found

    async def _enqueue(self, moment_id: str, post_ids: Sequence[str]) -> int:
        """Queue the missing jobs of these posts, except dead ones; `flag_late` only where the index has no flag yet."""
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
