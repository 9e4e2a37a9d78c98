"""Posts: found by id, listed by moment, deleted for good; rebuilt from the store wherever Redis does not know.

The store is the truth. A post's record is the tail of its media object once it is finished, and follows from the
receipt in the tail of its intake object before that. Finished records are kept in a bounded cache of this process for
a few seconds, for the sake of the renditions that a feed asks for at once; whoever reads bytes by a cached record
checks their digest, so an old record can cost a second read but never a wrong picture.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, TypeVar

from cachetools import TTLCache
from redis.exceptions import RedisError

from . import intake, keys, media
from .blobs import BlobMissing, BlobStore
from .index import Counts, Index, counts_of
from .moments import Moments
from .records import Post, Rendition, accepted
from .zips import TAIL_BYTES, Damaged

log = logging.getLogger("snapsurge.storage.posts")

R = TypeVar("R")

# 20,000 records of 2 KiB are 40 MiB; five seconds bound how long a deleted post's record can be seen elsewhere.
CACHED_MAX = 20_000
CACHED_S = 5.0
# How many store requests one listing or rebuild keeps in flight.
WIDTH = 16


class NoSuchPost(Exception):
    """There is no post of this id: never accepted, or deleted."""


class Posts:
    """All posts. Methods raise blobs.StoreUnavailable when only the store could answer and does not."""

    def __init__(self, store: BlobStore, index: Index, moments: Moments) -> None:
        self._store = store
        self._index = index
        self._moments = moments
        self._finished: TTLCache[str, Post] = TTLCache(CACHED_MAX, CACHED_S)

    async def get(self, post_id: str) -> Post:
        """The post as Redis or else the store knows it; NoSuchPost."""
        if not keys.is_post_id(post_id):
            raise NoSuchPost(post_id)
        with contextlib.suppress(RedisError):
            (post,) = await self._index.posts([post_id])
            if post is not None:
                return post
        found = await self._search(post_id)
        if found is None:
            raise NoSuchPost(post_id)
        return found

    async def finished(self, post_id: str) -> Post:
        """The post's record from the cache while it is fresh, else as `get`."""
        post = self._finished.get(post_id)
        if post is None:
            post = await self.get(post_id)
            if post.state != "accepted":
                self._finished[post_id] = post
        return post

    async def stored(self, moment_id: str, post_id: str) -> Post:
        """The post as the store has it; NoSuchPost, zips.Damaged.

        A deleted post has no intake object, whatever else is left. One whose media object cannot be read is to be
        rendered again.
        """
        try:
            receipt = intake.receipt_in(await self._store.read_tail(keys.intake(moment_id, post_id), TAIL_BYTES))
        except BlobMissing:
            raise NoSuchPost(post_id) from None
        try:
            record = media.record_in(await self._store.read_tail(keys.media(moment_id, post_id), TAIL_BYTES))
            if record.request_id == receipt.request_id:
                return record
        except BlobMissing:
            pass
        except Damaged as error:
            log.error("%s is damaged: %s", keys.media(moment_id, post_id), error)  # noqa: TRY400 - as below
        return accepted(receipt)

    async def rendition(self, post: Post, place: Rendition, offset: int, length: int) -> bytes:
        """A part of a rendition's bytes, `offset` counted inside it; NoSuchPost when the media object is gone."""
        try:
            return await self._store.read_range(keys.media(post.moment_id, post.id), place.offset + offset, length)
        except BlobMissing:
            self.drop(post.id)
            raise NoSuchPost(post.id) from None

    def drop(self, post_id: str) -> None:
        """Forget the cached record."""
        self._finished.pop(post_id, None)

    async def delete(self, post: Post) -> None:
        """Remove every object of the post: the intake first, so that a render under way finds it gone and tidies up."""
        with contextlib.suppress(RedisError):
            await self._index.forget(post.id, post.moment_id)
        await self._store.delete(keys.intake(post.moment_id, post.id))
        await self._store.delete(keys.media(post.moment_id, post.id))
        self.drop(post.id)

    async def page(self, moment_id: str, after: str | None, limit: int) -> tuple[list[Post], str | None]:
        """Up to `limit` posts in the order of their keys, and the id to go on after; ValueError on a bad `after`."""
        if after is not None and not keys.is_post_id(after):
            raise ValueError("the cursor is not one that a page gave")
        found: list[str] = []
        async for ids in self.ids(moment_id, after, limit + 1):
            found += ids
            if len(found) > limit:
                break
        posts = await self._posts(moment_id, found[:limit])
        return posts, found[limit - 1] if len(found) > limit else None

    async def counts(self, moment_id: str) -> Counts:
        """The moment's counts; where Redis lost them, every post is observed anew, which restores them."""
        with contextlib.suppress(RedisError):
            known = await self._index.counts(moment_id)
            if known is not None:
                return known
        return await self._recount(moment_id)

    async def _recount(self, moment_id: str) -> Counts:
        """The counts by the store; the index's are complete only if it was told of every post."""
        generation = None
        with contextlib.suppress(RedisError):
            generation = await self._index.recount(moment_id)
        counted: Counter[str] = Counter()
        told = 0
        async for ids in self.ids(moment_id):
            async for posts in self.stored_some(moment_id, ids):
                counted.update(["accepted"] * len(posts))
                counted.update(post.state for post in posts if post.state != "accepted")
                counted.update("late" if post.late else "on_time" for post in posts if post.late is not None)
                with contextlib.suppress(RedisError):
                    told += len(await self._index.observe(posts))
        if generation is not None and told == counted["accepted"]:
            with contextlib.suppress(RedisError):
                await self._index.counts_are_complete(moment_id, generation)
        return counts_of(counted)

    async def ids(
        self, moment_id: str, after: str | None = None, spread_max: int | None = None
    ) -> AsyncIterator[list[str]]:
        """The ids of a moment's posts in the order of their keys, some spreads at a time, from the store alone.

        With `spread_max` only so many of each spread: whoever wants the first few need not list millions.
        """
        first = 0 if after is None else keys.SPREADS.index(keys.spread(after))
        for start in range(first, len(keys.SPREADS), WIDTH):
            spreads = keys.SPREADS[start : start + WIDTH]
            listed = await _together([partial(self._listed, one, moment_id, after, spread_max) for one in spreads])
            yield [post_id for ids in listed for post_id in ids]

    async def _listed(self, spread: str, moment_id: str, after: str | None, most: int | None) -> list[str]:
        beyond = keys.intake(moment_id, after) if after is not None else ""
        found: list[str] = []
        async for key in self._store.list(keys.intake_prefix(spread, moment_id), beyond):
            if not keys.is_post_id(keys.name_in(key)):
                continue  # somebody else's
            found.append(keys.name_in(key))
            if len(found) == most:
                break
        return found

    async def _posts(self, moment_id: str, ids: Sequence[str]) -> list[Post]:
        """Posts by id: from the index where it has them, else the store; those deleted meanwhile are left out."""
        known: dict[str, Post] = {}
        with contextlib.suppress(RedisError):
            known = {post.id: post for post in await self._index.posts(ids) if post is not None}
        async for posts in self.stored_some(moment_id, [one for one in ids if one not in known]):
            known.update((post.id, post) for post in posts)
        return [known[one] for one in ids if one in known]

    async def stored_some(self, moment_id: str, ids: Sequence[str]) -> AsyncIterator[list[Post]]:
        """Posts as the store has them, a few at a time, without those that it does not have whole."""
        for start in range(0, len(ids), WIDTH):
            some = ids[start : start + WIDTH]
            found = await _together([partial(self._stored_or_none, moment_id, post_id) for post_id in some])
            yield [post for post in found if post is not None]

    async def _search(self, post_id: str) -> Post | None:
        """The post in whichever moment has it, the latest first; a post id alone does not say."""
        moment_ids = [one.id for one in reversed(await self._moments.since(0))]
        for start in range(0, len(moment_ids), WIDTH):
            some = moment_ids[start : start + WIDTH]
            for post in await _together([partial(self._stored_or_none, one, post_id) for one in some]):
                if post is not None:
                    return post
        return None

    async def _stored_or_none(self, moment_id: str, post_id: str) -> Post | None:
        try:
            return await self.stored(moment_id, post_id)
        except NoSuchPost:
            return None
        except Damaged as error:  # one that cannot be read must not hide all others
            log.error("%s is damaged: %s", keys.intake(moment_id, post_id), error)  # noqa: TRY400 - the key is what helps
            return None


async def _together(calls: Sequence[Callable[[], Coroutine[Any, Any, R]]]) -> list[R]:
    """All results in order; the first failure cancels the rest and is raised as itself."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(call(), name="store-request") for call in calls]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]
