"""Queues the missing jobs of accepted pairs. It finds the pairs in the store, so jobs survive a FLUSHALL of Redis.

A post is unfinished when it has an intake object and no media object. The sweeper queues the jobs of each unfinished
post; where a job is queued or running already, its job id makes this a no-op. The jobs of a queue shard that does not
answer wait for the next pass. Tombstones are removed once the moment accepts no more posts.

A pass costs two listings for each of 256 spreads, whatever the number of moments: all moments of an age class are
listed together (`passes.py`). The sweeper takes a few spreads at a time and divides these steps evenly over the time
of the pass. Redis holds the cursor of each pass, so that another sweeper continues where this one stopped. A Redis that
was emptied or restarted has no cursors: the first pass then runs as fast as it can and fills the queue. The next pass
finds the counts of the moments incomplete and reports every post to the index again, which restores the entries and the
counts. A pass that finds an index entry of a deleted post reports the deletion to the index.
"""

import asyncio
import contextlib
from collections.abc import Collection, Mapping, Sequence
from functools import partial

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from storage import keys
from storage.blobs import BlobStore
from storage.existence import Existence
from storage.index import Index
from storage.keys import BY_HAND_KEY, CURSORS_KEY
from storage.moments import Moments
from storage.posts import Posts
from storage.queue.jobs import Job, jobs_of
from storage.queue.shards import Shards, those_that_answer
from storage.records import OPEN_MS, Moment, to_ms
from storage.recounting import Recount
from storage.sharded_index import ShardedIndex, epoch_of
from storage.together import together
from storage.tombstones import SIZE as TOMBSTONE_SIZE

from .findings import Found, Swept
from .letters import DeadLetters
from .mark import mark
from .passes import SWEPT_MS, Cursor, classes, due_s, next_due, parse_cursor

WIDTH = 16  # Spreads listed at the same time.
BATCH = 256  # Jobs queued by one script call.
# For a day an operator can resume an interrupted manual sweep.
BY_HAND_TTL_S = 24 * 3600


class Sweeper:
    """Sweeps moments of one store into one Redis. Methods raise blobs.StoreUnavailable and redis.RedisError."""

    def __init__(
        self, store: BlobStore, redis: Redis, *, every_s: float, shards: Mapping[str, Redis] | None = None
    ) -> None:
        shards = shards or {"": redis}
        self._store = store
        self._redis = redis
        self._epoch = epoch_of(shards)
        self._index = ShardedIndex(redis, shards)
        self._moments = Moments(store, self._index)
        self._posts = Posts(store, self._index)
        self._existence = Existence(store)
        self._clients = [redis, *(one for one in shards.values() if one is not redis)]
        self._queue = Shards(shards)
        self._dead = DeadLetters(*shards.values())
        self._every_s = every_s
        self._due_s = self._since_s = 0.0
        self._resting = False

    @property
    def pace_s(self) -> float:
        """Seconds until `step` should be called again when no step is due: the time of a step in the youngest class.

        Half of a pass while there is no moment to sweep.
        """
        return self._every_s * (0.5 if self._resting else WIDTH / len(keys.SPREADS))

    def wait_s(self, now_s: float) -> float:
        """Seconds until a step is due, as far as the last step knows; at most `pace_s`."""
        return min(max(self._due_s - now_s, 0.0), self.pace_s)

    def behind_s(self, now_s: float) -> float:
        """Seconds by which the next step is overdue; 0 while there is no moment to sweep, or before the first step.

        A first pass has no schedule: it is as late as it has lasted, and as steps have failed before it.
        """
        begun_s = max(self._due_s, self._since_s)
        return 0.0 if self._resting or not begun_s else max(now_s - begun_s, 0.0)

    async def step(self, now_s: float) -> Swept | None:
        """Do the most overdue step; None when no step is due."""
        self._since_s = self._since_s or now_s
        moments = await self._accepting(now_s)
        cursors = await self._cursors([one.id for one in moments])
        by_class = classes(moments, self._every_s, now_s)
        self._resting = not by_class
        name = next_due(by_class, cursors, now_s, self._every_s)
        if name is None:
            return None
        cursor, moment_ids = cursors.get(name), by_class[name]
        if cursor is None:
            cursor, self._since_s = Cursor(0, 0.0), now_s
        elif cursor.done >= len(keys.SPREADS):
            cursor = Cursor(0, now_s, await self._generations(moment_ids))
        swept, cursor = await self._advance(moment_ids, cursor, now_s)
        cursors[name] = cursor
        self._due_s = min(due_s(one, cursors.get(one), self._every_s, now_s) for one in by_class)
        pipe = self._redis.pipeline(transaction=False)
        pipe.hset(CURSORS_KEY, mapping={name: msgspec.json.encode(cursor)})
        gone = cursors.keys() - by_class.keys()
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
        await self._moments.known(moment_id)
        known = await self._redis.hget(BY_HAND_KEY, moment_id)  # type: ignore[misc] # redis-py's types
        cursor = parse_cursor(known) or Cursor(0, 0.0, await self._generations([moment_id]))
        swept = Swept()
        while cursor.done < len(keys.SPREADS):
            step, cursor = await self._advance([moment_id], cursor, now_s)
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
        # Cancelled ones, too: a node may have accepted pairs before it knew.
        return await self._moments.since(now_ms - SWEPT_MS, now_ms, cancelled=True)

    async def _cursors(self, moment_ids: Sequence[str]) -> dict[str, Cursor]:
        """The cursors by age class; empty when a Redis was emptied or restarted, because it may have lost jobs.

        Also empty when a shard was added or removed; then no counts of these moments are complete any more.
        """
        named, *others = await asyncio.gather(
            *(mark(one, self._epoch) for one in self._clients), return_exceptions=True
        )
        if isinstance(named, BaseException):
            raise named
        marks = [one.found for one in (named, *others) if not isinstance(one, BaseException)]
        if 2 in marks:
            await those_that_answer(one.void_counts(moment_ids) for one in self._index.shards.values())
        if any(marks):
            await self._redis.delete(CURSORS_KEY)
            return {}
        return named.cursors

    async def _generations(self, moment_ids: Sequence[str]) -> dict[str, dict[str, str]]:
        """The generations for recounts by moment and shard, where a shard that answers has no complete counts."""
        found: dict[str, dict[str, str]] = {}

        async def begin(shard: str, index: Index) -> None:
            for moment_id in await index.uncounted(moment_ids):
                found.setdefault(moment_id, {})[shard] = await index.recount(moment_id)

        await those_that_answer(begin(shard, index) for shard, index in self._index.shards.items())
        return found

    async def _advance(self, moment_ids: Sequence[str], cursor: Cursor, now_s: float) -> tuple[Swept, Cursor]:
        """Sweep the next `WIDTH` spreads of a pass; during a recount, report their posts to the index."""
        spreads = keys.SPREADS[cursor.done : cursor.done + WIDTH]
        swept, found = Swept(), Found()
        for part, there in await together([partial(self._spread, one, moment_ids) for one in spreads], "sweep-spread"):
            swept, found = swept + part, found | there
        swept += Swept(queued=await self._enqueue_all(sorted(found.unfinished)))
        # A moment that left the class in the middle of a recount is counted by the next pass over its new class.
        known = {one: cursor.generations[one] for one in moment_ids if one in cursor.generations}
        generations = {
            one: {shard: begun for shard, begun in shards.items() if shard in self._index.shards}
            for one, shards in known.items()
        }
        for moment_id, shards in generations.items():
            accepted = sorted(one for one in found.accepted if keys.moment_of(one) == moment_id)
            recount = Recount(self._index, shards)
            async for posts in recount.reported(accepted, partial(self._posts.stored_some, moment_id)):
                swept += Swept(recounted=len(posts))
            for untold in recount.untold:
                del shards[untold]  # the next pass recounts
        await self._tell_deletions(sorted(found.deleted))
        for post_id in found.deleted:
            # While the moment accepts posts, a late `create` of the pair would succeed where nothing stands.
            if await self._is_over(keys.moment_of(post_id), now_s):
                await self._existence.clear(keys.moment_of(post_id), post_id)
        cursor = Cursor(cursor.done + len(spreads), cursor.begun_s, generations)
        if cursor.done >= len(keys.SPREADS):
            swept += Swept(moments=len(moment_ids))
            for moment_id, shards in generations.items():
                for shard, generation in shards.items():
                    with contextlib.suppress(RedisError, OSError):  # the next pass recounts
                        await self._index.shards[shard].counts_are_complete(moment_id, generation)
        return swept, cursor

    async def _is_over(self, moment_id: str, now_s: float) -> bool:
        """Whether the moment accepts no more posts."""
        return now_s * 1000 > to_ms((await self._moments.known(moment_id)).fires_at) + OPEN_MS

    async def _tell_deletions(self, post_ids: Sequence[str]) -> None:
        """Remove deleted posts from the index, which missed the deletion or was restored from an older copy."""
        for entry in await self._index.posts(post_ids) if post_ids else ():
            there = await self._existence.look(entry.moment_id, entry.id) if entry is not None else None
            if entry is not None and there is not None and there.tombstone is not None:
                await self._index.forget(entry.id, entry.moment_id, there.decided)

    async def _spread(self, spread: str, moment_ids: Collection[str]) -> tuple[Swept, Found]:
        """Sweep one spread; its counts, and the posts found."""
        # Intake before media: a post that finishes between the two is not queued again.
        accepted, deleted, finished = await self._listed(spread, frozenset(moment_ids))
        unfinished = sorted(accepted - finished)
        # At once, so that few of them finish meanwhile; the last ones together with those of other spreads.
        batched = len(unfinished) // BATCH * BATCH
        queued = await self._enqueue_all(unfinished[:batched])
        tidied = 0
        # A media object beside a tombstone is the rest of an interrupted deletion: finish it (existence.py).
        for post_id in finished & deleted:
            tidied += await self._existence.fence(keys.moment_of(post_id), post_id)
        # What was accepted after the intake objects were listed is there by now.
        rest = [await self._existence.look(keys.moment_of(one), one) for one in finished - accepted - deleted]
        # A media object without an intake object is the last copy of a pair that the store lost: kept, and counted.
        lost = sum(not one.mark for one in rest)
        swept = Swept(posts=len(accepted), unfinished=len(unfinished), queued=queued, tidied=tidied, lost=lost)
        return swept, Found(accepted, deleted, set(unfinished[batched:]))

    async def _listed(self, spread: str, moment_ids: frozenset[str]) -> tuple[set[str], set[str], set[str]]:
        """The posts of these moments with a pair, with a tombstone, and with a media object; ignores other names.

        The size alone tells a tombstone from a pair.
        """
        accepted, deleted, finished = set[str](), set[str](), set[str]()
        async for entry in self._store.list_in(f"{spread}/", keys.KINDS, moment_ids):
            name = keys.name_in(entry.key)
            if not keys.is_post_id(name) or keys.moment_of(name) not in moment_ids:
                continue
            if entry.key.startswith(keys.intake_prefix(spread)):
                (deleted if entry.size == TOMBSTONE_SIZE else accepted).add(name)
            elif entry.size != TOMBSTONE_SIZE:
                finished.add(name)
        return accepted, deleted, finished

    async def _enqueue_all(self, post_ids: Sequence[str]) -> int:
        """Queue the missing jobs of these posts."""
        queued = 0
        for start in range(0, len(post_ids), BATCH):
            queued += await self._enqueue(post_ids[start : start + BATCH])
        return queued

    async def _enqueue(self, post_ids: Sequence[str]) -> int:
        """Queue the missing jobs of these posts, except dead ones; `flag_late` only where the index has no flag yet.

        Both jobs of a post were queued together, and a render sets the flag too: where it is queued, nothing lacks.
        """
        renders = [Job("render_pair", keys.moment_of(post_id), post_id) for post_id in post_ids]
        lost = [job.post_id for job in await self._queue.unqueued(renders)]
        if not lost:
            return 0
        known = await self._index.posts(lost)
        flagged = {post.id for post in known if post is not None and post.late is not None}
        needed = [
            job
            for post_id in lost
            for job in jobs_of(keys.moment_of(post_id), post_id)
            if not (job.name == "flag_late" and post_id in flagged)
        ]
        # Dead jobs, purged or not, stay dead until an operator or a new post queues them.
        dead = await self._dead.among([job.id for job in needed])
        return await self._queue.offer([job for job in needed if job.id not in dead])
