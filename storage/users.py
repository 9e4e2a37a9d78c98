"""All posts of one user: found by moments, exported, deleted.

Deleting is complete when `next` is null: pairs, renditions, index entries, waiting jobs and dead letters are gone, and
no upload that was sent before the deletion can still arrive.
"""

import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial

import msgspec
from redis.exceptions import RedisError

from . import keys
from .absences import Absences
from .blobs import BlobChanged, BlobMissing, BlobStore, StoreUnavailable
from .existence import Existence, NoSuchPost, Standing, Superseded
from .index import Index
from .moments import DAY_MS, DamagedMoment, Moments, NoSuchMoment
from .posts import Posts
from .queue.jobs import Job, JobName
from .queue.shards import Shards
from .records import OPEN_MS, Post, from_ms, to_ms
from .refusals import reason
from .together import together
from .tombstones import ENTRY as TOMBSTONE_ENTRY
from .zips import TAIL_BYTES, Damaged, Entry, entries

log = logging.getLogger("snapsurge.storage.users")

# A list or a deletion reads so many moments at most, for `CALL_S` at most, and says where to go on: a deletion that
# store or Redis break off keeps its progress.
MOMENTS_MAX = 1000
# Others wait for this call's end (ingest/turns.py).
CALL_S = 5.0
WIDTH = 16
# What is held of an object while it is exported.
PIECE_BYTES = 1024 * 1024
# By a balancer's clock, which is compared with this node's, a moment may have fired so much earlier.
CLOCKS_MS = 1000
_JOBS: tuple[JobName, ...] = ("flag_late", "render_pair", "complete_media")


class Changed(Exception):
    """An object was deleted or replaced while its pieces were read."""


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """A deleted post: its objects, whose place tombstones took, and how many of its jobs and dead letters there were.

    `held` is what was there: a pair (or its receipt); a tombstone, which an earlier deletion of the post or of all of
    the user wrote, so the user need not have had a post there; damaged bytes; renditions whose pair the store has lost;
    or an index entry alone, because the store has lost both.
    """

    post_id: str
    moment_id: str
    held: str
    objects: list[str]
    jobs: int


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A post that stays, because the user posted it after the deletion was sent."""

    post_id: str
    moment_id: str


class Erasure(msgspec.Struct, frozen=True, kw_only=True):
    """The receipt of a deletion: what was deleted by this call, and `next`, from which another call must go on.

    `barred` are moments that may still accept posts, and in which the user has none: uploads that were sent before the
    deletion are refused there. A call that is repeated tells tombstones in place of what it deleted before.
    """

    user_id: str
    deletion: str
    deleted_at: str
    moments: int
    deleted: list[Erased]
    kept: list[Kept]
    barred: list[str]
    next: str | None


class Contents(msgspec.Struct, frozen=True):
    """The files of one object of a post, in their order; None when the object is damaged."""

    key: str
    mark: str
    files: Sequence[Entry] | None

    @property
    def end(self) -> int:
        """The offset of the byte after the last file."""
        return self.files[-1].end if self.files else 0


class Users:
    """The posts of any user. Methods raise blobs.StoreUnavailable. `clock` gives unix seconds."""

    def __init__(
        self,
        store: BlobStore,
        index: Index,
        moments: Moments,
        posts: Posts,
        queue: Shards,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._index = index
        self._moments = moments
        self._posts = posts
        self._queue = queue
        self._existence = Existence(store)
        self._clock = clock
        self._monotonic = monotonic
        # For minutes: in which old moments a user has no post. A list reads these once.
        self._absences = Absences(monotonic)

    async def page(self, user_id: str, after: str, limit: int) -> tuple[list[Post], str | None]:
        """Up to `limit` posts in the order of moment ids, and the moment id to continue after; may be empty."""
        found: list[Post] = []
        seen, end_s = 0, self._monotonic() + CALL_S
        async for ids in self._some(after):
            asked = [one for one in ids if not self._absences.has(user_id, one)]
            posts = await together([partial(self._post, user_id, moment_id) for moment_id in asked], "user-post")
            found += [one for one in posts if one is not None]
            absent = [one for one, post in zip(asked, posts, strict=True) if post is None and self._is_old(one)]
            self._absences.note(user_id, absent)
            seen += len(asked)
            if len(found) > limit:
                return found[:limit], found[limit - 1].moment_id
            if seen >= MOMENTS_MAX or self._monotonic() >= end_s:
                return found, ids[-1]
        return found, None

    async def erase(self, user_id: str, deletion: str, after: str) -> Erasure:
        """Delete all that the user sent before `deletion`, a `records.attempt_id`; may be repeated.

        When the store or Redis fails after some moments are done, the receipt says so by its `next`. When they fail at
        once, redis.RedisError: the index or the queue may still have something, the caller should delete again.
        """
        found: list[Erased | Kept | str | None] = []
        seen, last, end_s = 0, None, self._monotonic() + CALL_S
        try:
            async for ids in self._some(after):
                found += await together([partial(self._erase, user_id, one, deletion) for one in ids], "user-post")
                seen, last = seen + len(ids), ids[-1]
                if seen >= MOMENTS_MAX or self._monotonic() >= end_s:
                    break
            else:
                last = None
        except (RedisError, StoreUnavailable) as error:
            if last is None:
                raise
            why = reason(error) if isinstance(error, RedisError) else error
            log.warning(
                "deleting all posts of a user stopped after %s moments, its client must continue: %s", seen, why
            )
        return Erasure(
            user_id=user_id,
            deletion=deletion,
            deleted_at=from_ms(int(self._clock() * 1000)),
            moments=seen,
            deleted=[one for one in found if isinstance(one, Erased)],
            kept=[one for one in found if isinstance(one, Kept)],
            barred=[one for one in found if isinstance(one, str)],
            next=last,
        )

    async def present(self, user_id: str) -> AsyncIterator[Sequence[str]]:
        """The moments in which the user has something: of a few moments at a time, so perhaps none of these."""
        async for ids in self._some(""):
            looks = [partial(self._has, moment_id, keys.post_id(moment_id, user_id)) for moment_id in ids]
            there = await together(looks, "user-post")
            yield [moment_id for moment_id, has in zip(ids, there, strict=True) if has]

    async def contents(self, key: str) -> Contents | None:
        """What files the object has, tombstones left out; None when there is no object."""
        try:
            tail = await self._store.read_tail(key, TAIL_BYTES)
        except BlobMissing:
            return None
        try:
            files = entries(tail.body)
        except Damaged:
            return Contents(key, tail.mark, None)
        return Contents(key, tail.mark, [one for one in files if one.name != TOMBSTONE_ENTRY])

    async def piece(self, contents: Contents, start: int) -> bytes:
        """The object's bytes from `start`, `PIECE_BYTES` unless its files end before; Changed."""
        length = min(PIECE_BYTES, contents.end - start)
        try:
            return await self._store.read_range(contents.key, start, length, contents.mark)
        except (BlobMissing, BlobChanged) as error:
            raise Changed(contents.key) from error

    async def _some(self, after: str) -> AsyncIterator[Sequence[str]]:
        """The ids of all moments, a few at a time."""
        async for ids in self._moments.ids(after=after):
            known = [one for one in ids if keys.is_moment_id(one)]
            for start in range(0, len(known), WIDTH):
                yield known[start : start + WIDTH]

    async def _post(self, user_id: str, moment_id: str) -> Post | None:
        # A post has two possible keys, so each moment costs one or two reads, and nothing of the bucket is scanned.
        post_id = keys.post_id(moment_id, user_id)
        try:
            await self._posts.stored(moment_id, post_id)
            return await self._posts.get(post_id)  # with its late flag
        except (NoSuchPost, Damaged):
            return None

    async def _erase(self, user_id: str, moment_id: str, deletion: str) -> Erased | Kept | str | None:
        """Delete the user's post in this moment; the moment's id if there was none and none can come any more."""
        post_id = keys.post_id(moment_id, user_id)
        bars = await self._may_accept(moment_id)
        try:
            # Renditions whose pair the store has lost go, too. A moment that may accept posts gets a tombstone even
            # without a post, which holds nothing of the user.
            there = await self._existence.end(moment_id, post_id, deletion, bars=bars)
        except NoSuchPost:
            return await self._forget(moment_id, post_id, deletion)
        except Superseded:
            return Kept(post_id=post_id, moment_id=moment_id)
        # This node's cache of finished records; another node's ends within seconds and serves no picture (posts.py).
        self._posts.drop(post_id)
        jobs = await self._queue.remove([Job(name, moment_id, post_id) for name in _JOBS])
        async with self._index.only_primary(post_id):
            await self._index.forget(post_id, moment_id, deletion)
        if not there.mark and not there.renditions:
            return moment_id
        objects = [keys.intake(moment_id, post_id), keys.media(moment_id, post_id)]
        return Erased(post_id=post_id, moment_id=moment_id, held=_what_was(there), objects=objects, jobs=jobs)

    async def _forget(self, moment_id: str, post_id: str, deletion: str) -> Erased | None:
        """Remove what Redis has of a post of which the store has nothing: its pair was lost."""
        (entry,) = await self._index.posts([post_id])
        if entry is None:
            return None
        self._posts.drop(post_id)
        jobs = await self._queue.remove([Job(name, moment_id, post_id) for name in _JOBS])
        async with self._index.only_primary(post_id):
            await self._index.forget(post_id, moment_id, deletion)
        return Erased(post_id=post_id, moment_id=moment_id, held="index entry", objects=[], jobs=jobs)

    async def _may_accept(self, moment_id: str) -> bool:
        """Whether an upload may still be committed; only moments of the last days are read to find out."""
        now_ms = self._clock() * 1000
        if moment_id.count("-") < 2 or self._is_old(moment_id):
            return False
        try:
            fires_ms = to_ms((await self._moments.known(moment_id)).fires_at)
        except NoSuchMoment:
            return False
        except DamagedMoment:
            return True
        return fires_ms - CLOCKS_MS <= now_ms <= fires_ms + OPEN_MS

    def _is_old(self, moment_id: str) -> bool:
        """Whether the day in the moment's id alone says that no upload can be committed to it any more."""
        days_ms = int(self._clock() * 1000 - OPEN_MS - 2 * DAY_MS)
        return moment_id.count("-") >= 2 and keys.day_of(moment_id) < from_ms(days_ms)[:10]

    async def _has(self, moment_id: str, post_id: str) -> bool:
        """Whether the store has a pair or renditions of the post."""
        there = await self._existence.look(moment_id, post_id)
        return there.tombstone is None and (bool(there.mark) or await self._existence.shows(moment_id, post_id))


def _what_was(there: Standing) -> str:
    if there.receipt is not None:
        return "pair"
    if there.tombstone is not None:
        return "tombstone"
    return "renditions" if there.renditions else "damaged"
