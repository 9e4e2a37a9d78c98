"""Reads every object of a moment, compares it with its digests, the index and the counts, and repairs what can be.

Works spread by spread: a listing of the intake objects and one of the media objects, then each pair of objects, a few
at a time, so that memory is bounded by `WIDTH` pairs. Uploads, renders and deletions may go on meanwhile: what looks
wrong is looked at again, and counts only if it is wrong every time. What is wrong and why is decided in `verdicts.py`;
every repair is conditional (existence.py), so none undoes what happened meanwhile.

    what is wrong                                      repair
    the pair is damaged                                none: the phone's photos are nowhere else
    the pair is lost, its renditions are there         a bare receipt, made from the record: the post exists again
    the pair is lost with its renditions               none, see `lost_pairs.py`
    the renditions are damaged, stale or missing       they are removed, and a job that makes them is queued
    the same, of a post whose photos were removed      none
    renditions of a deleted post                       a tombstone
    the index has another record, or a deleted post    the store's record is reported, or the deletion
    the counts in Redis are not those of the store     they are counted again
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from redis.asyncio import Redis
from redis.exceptions import RedisError

from storage import intake, keys, media
from storage.blobs import BlobMissing, BlobStore
from storage.existence import Existence
from storage.moments import Moments, NoSuchMoment
from storage.posts import NoSuchPost, Posts
from storage.queue.jobs import Job, JobName, jobs_of
from storage.queue.shards import Shards
from storage.records import Moment, Post, Receipt, flagged
from storage.sharded_index import ShardedIndex
from storage.together import together
from storage.tombstones import SIZE as TOMBSTONE_SIZE
from storage.zips import TAIL_BYTES, Damaged

from ..letters import DeadLetters
from .index_check import IndexCheck
from .lost_pairs import LostPairs
from .verdicts import Damage, Stale, Verified, is_tombstone, receipt_from, receipt_of, record_of

# Posts read at the same time: a pair of 32 MiB and its renditions each, 160 MiB at most.
WIDTH = 4
# What changes while it is compared is compared again, so often and after so many seconds.
LOOKS = 4
AGAIN_S = 0.5

Progress = Callable[[int, Verified], None]


class Verifier:
    """Verifies moments of one store and its Redis. `progress` is told after each spread."""

    def __init__(
        self,
        store: BlobStore,
        redis: Redis,
        shards: Mapping[str, Redis],
        *,
        repairs: bool,
        progress: Progress = lambda _spreads, _found: None,
        again_s: float = AGAIN_S,
    ) -> None:
        index = ShardedIndex(redis, shards)
        self._store = store
        self._index = index
        self._moments = Moments(store, index)
        self._posts = Posts(store, index)
        self._existence = Existence(store)
        self._check = IndexCheck(store, index, repairs=repairs, again_s=again_s)
        self._lost_pairs = LostPairs(store, index, repairs=repairs, again_s=again_s)
        self._queue = Shards(shards)
        self._dead = DeadLetters(*shards.values())
        self._repairs = repairs
        self._progress = progress
        self._again_s = again_s

    async def moment(self, moment_id: str) -> Verified:
        """Verify one moment; moments.NoSuchMoment, blobs.StoreUnavailable. Redis may be away, but not forbid SCAN."""
        await self._lost_pairs.allowed()
        moment = await self._moments.known(moment_id)
        found = Verified(moment=moment_id)
        began = await self._check.counted(moment_id, found)
        for done, spread in enumerate(keys.SPREADS, 1):
            pairs, renditions, deleted = await self._listed(spread, moment_id, found)
            found.deleted += len(deleted)
            names = sorted(pairs | renditions)
            for start in range(0, len(names), WIDTH):
                some = [partial(self._post, moment, name, found) for name in names[start : start + WIDTH]]
                await together(some, "verify-post")
            await self._check.deletions(sorted(deleted), found)
            self._progress(done, found)
        removed = await self._is_removed(moment_id)
        if not removed:
            await self._lost_pairs.search(moment_id, found)
        await self._check.counts(moment_id, found, began, removed=removed)
        return found

    async def _listed(self, spread: str, moment_id: str, found: Verified) -> tuple[set[str], set[str], set[str]]:
        """The posts of a spread with a pair, with renditions, and deleted ones."""
        pairs, renditions, deleted = set[str](), set[str](), set[str]()
        for kind, key_of, here in (("intake", keys.intake, pairs), ("media", keys.media, renditions)):
            async for entry in self._store.list(f"{spread}/{kind}/{moment_id}/"):
                name = keys.name_in(entry.key)
                if not keys.is_post_id(name) or entry.key != key_of(moment_id, name):
                    found.say("extra", entry.key, "no object of this program has this key; look and remove it")
                elif entry.size != TOMBSTONE_SIZE:
                    here.add(name)
                elif kind == "intake":
                    deleted.add(name)
        return pairs, renditions, deleted

    async def _post(self, moment: Moment, post_id: str, found: Verified) -> None:
        """Verify one post: its pair, its renditions, its index entry."""
        key = keys.intake(moment.id, post_id)
        archive = await self._read(key, found)
        if archive is None:
            await self._lost(moment, post_id, found)
            return
        if is_tombstone(archive):
            await self._rest(moment.id, post_id, found)
            return
        found.posts += 1
        try:
            receipt = await asyncio.to_thread(receipt_of, moment.id, post_id, archive)
        except Damage as damage:
            found.unreadable += 1
            found.say("damaged", key, f"the pair cannot be used: {damage}")
            return
        bare = intake.is_bare(archive)
        del archive  # before its renditions are read
        found.bare += bare
        record = await self._renditions(receipt, found, bare=bare)
        found.count(receipt, record)
        if record is not None:
            await self._check.entry(flagged(record, receipt.late_by_ms), found)

    async def _renditions(self, receipt: Receipt, found: Verified, *, bare: bool) -> Post | None:
        """Verify the media object of a pair; the record, None if there is none that can be used."""
        archive = await self._read(keys.media(receipt.moment_id, receipt.id), found)
        if archive is None or is_tombstone(archive):
            await self._unfinished(receipt, found, "it has no renditions", bare=bare)
            return None
        try:
            record = await asyncio.to_thread(record_of, receipt, archive)
        except Stale:
            await self._unfinished(receipt, found, "its renditions are of an earlier attempt", bare=bare)
            return None
        except Damage as damage:
            return await self._damaged(receipt, found, str(damage), bare=bare)
        if not record.complete:
            await self._unfinished(receipt, found, "it has no `full` renditions", bare=bare, name="complete_media")
        return record

    async def _damaged(self, receipt: Receipt, found: Verified, why: str, *, bare: bool) -> Post | None:
        """Renditions that are not what was written: void them, unless they are all that is left."""
        key, done = keys.media(receipt.moment_id, receipt.id), ""
        if bare:
            why += "; they cannot be made anew, because the photos were removed"
        elif self._repairs:
            if not await self._voided(receipt):  # replaced or removed meanwhile
                return await self._renditions(receipt, found, bare=bare)
            if await self._enqueued(jobs_of(receipt.moment_id, receipt.id)):
                done = "they were removed, and the post is rendered again"
            else:
                why += "; they were removed, and Redis did not take the job that renders them again: verify again"
        found.say("damaged", key, f"the renditions cannot be used: {why}", done)
        return None

    async def _voided(self, receipt: Receipt) -> bool:
        """Remove the renditions if they are still damaged; whether this did it."""
        key = keys.media(receipt.moment_id, receipt.id)
        try:
            mark = (await self._store.read_tail(key, TAIL_BYTES)).mark
            record_of(receipt, await self._store.read(key))  # the object that has this mark, or a later one
        except Damage:
            return await self._existence.void(receipt.moment_id, receipt.id, mark)
        except (BlobMissing, Stale):
            pass
        return False

    async def _unfinished(
        self, receipt: Receipt, found: Verified, what: str, *, bare: bool, name: JobName = "render_pair"
    ) -> None:
        """Renditions that are missing: nothing is wrong if a job is there, or they came meanwhile."""
        jobs = [Job(name, receipt.moment_id, receipt.id, receipt.late_by_ms > 0)]
        for look in range(LOOKS):
            if await self._queued(jobs):
                found.pending += 1
                return
            if await self._finished(receipt, full=name == "complete_media"):
                return
            await asyncio.sleep(self._again_s if look + 1 < LOOKS else 0)
        key = keys.media(receipt.moment_id, receipt.id)
        if bare:
            found.say("lost", key, f"{what}; they cannot be made anew, because the photos were removed")
            return
        why = f"{what}, and {await self._why_not(jobs)}"
        done = "the job is queued" if self._repairs and await self._enqueued(jobs) else ""
        found.say("unfinished", key, why, done)

    async def _lost(self, moment: Moment, post_id: str, found: Verified) -> None:
        """Renditions without a pair or tombstone: no deletion leaves that, so the store has lost the pair."""
        body = await self._read(keys.media(moment.id, post_id), found)
        if body is None or is_tombstone(body):
            return  # both went since they were listed
        key = keys.intake(moment.id, post_id)
        try:
            record = media.record_in(body)
            receipt = receipt_from(record, moment)
            record_of(receipt, body)
        except (Damaged, Damage) as damage:
            found.lost_pairs += 1
            found.say("lost", key, f"the pair is gone, and its renditions cannot be used: {damage}")
            return
        if (deletion := await self._deletion(post_id)) and record.attempt <= deletion:
            await self._fenced(moment.id, post_id, found)
            return
        why, done = "the pair is gone, its renditions are there", ""
        if await self._is_removed(moment.id):
            why += "; the moment was cancelled or is being removed, so the post stays lost"
        elif self._repairs and record.complete:
            if not await self._existence.restore(receipt):  # somebody else did, or deleted it, meanwhile
                await self._post(moment, post_id, found)
                return
            found.posts, found.bare = found.posts + 1, found.bare + 1
            found.count(receipt, record)
            done = "the post exists again, by its record: its photos as received and its meta are lost"
        found.lost_pairs += not done
        found.say("lost", key, why, done)

    async def _deletion(self, post_id: str) -> str:
        """The post's last deletion, if Redis knows: a worker that was suspended may have stored renditions since."""
        with contextlib.suppress(RedisError, OSError):
            return await self._index.deletion(post_id)
        return ""

    async def _is_removed(self, moment_id: str) -> bool:
        """Whether retention removes the moment: it cancels the moment before it removes the first pair."""
        try:
            return (await self._moments.stored(moment_id)).cancelled
        except NoSuchMoment:
            return True

    async def _rest(self, moment_id: str, post_id: str, found: Verified) -> None:
        """Renditions of a deleted post: the rest of a deletion that was interrupted."""
        for _ in range(LOOKS):
            body = await self._read(keys.media(moment_id, post_id), found)
            there = await self._existence.look(moment_id, post_id)
            if body is None or is_tombstone(body) or there.tombstone is None:
                return  # the deletion was completed, or the post is there again
            await asyncio.sleep(self._again_s)
        await self._fenced(moment_id, post_id, found)

    async def _fenced(self, moment_id: str, post_id: str, found: Verified) -> None:
        fenced = self._repairs and await self._existence.fence(moment_id, post_id)
        done = "a tombstone takes their place" if fenced else ""
        found.say("extra", keys.media(moment_id, post_id), "renditions of a deleted post", done)

    async def _queued(self, jobs: Sequence[Job]) -> bool:
        """Whether a job is queued or running; also if Redis does not say, which `index_compared` tells."""
        return not await self._queue.unqueued(jobs)

    async def _enqueued(self, jobs: Sequence[Job]) -> bool:
        """Queue these jobs; False if Redis is away."""
        try:
            await self._queue.enqueue(jobs)
        except (RedisError, OSError):
            return False
        return True

    async def _why_not(self, jobs: Sequence[Job]) -> str:
        try:
            dead = await self._dead.among([one.id for one in jobs])
        except (RedisError, OSError):
            return "Redis does not say whether a job is queued"
        return "its job was given up (a dead letter)" if dead else "no job is queued"

    async def _finished(self, receipt: Receipt, *, full: bool) -> bool:
        """Whether the renditions came meanwhile, or the post went."""
        try:
            post = await self._posts.stored(receipt.moment_id, receipt.id)
        except (NoSuchPost, Damaged):
            return True
        return post.attempt != receipt.attempt or (post.state != "accepted" and (post.complete or not full))

    async def _read(self, key: str, found: Verified) -> bytes | None:
        try:
            body = await self._store.read(key)
        except BlobMissing:
            return None
        found.bytes_read += len(body)
        return body
