"""Posts: read by id, listed by moment, deleted; read from the store when Redis does not have them.

The store is the source of truth. The record of a finished post is the tail of its media object; before that it is
derived from the receipt in the tail of its intake object.

Each process caches finished records for a few seconds, for the many renditions that a feed requests at once. A caller
that reads image bytes with a cached record must verify their digest, or name the object that holds the record by its
entity tag (`shown`). So an outdated record can cost a second read but never yield a wrong picture.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from functools import partial, reduce
from operator import add

from cachetools import TTLCache
from redis.exceptions import RedisError

from . import keys, media
from .blobs import BlobChanged, BlobMissing, BlobStore
from .existence import Existence, NoSuchPost
from .index import Counts, Index, counts_of
from .records import Post, Receipt, Rendition, accepted
from .recounting import Recount
from .together import together
from .tombstones import SIZE as TOMBSTONE_SIZE
from .tombstones import tombstone_in
from .zips import TAIL_BYTES, Damaged

__all__ = ["DamagedPost", "NoSuchPost", "Posts"]

log = logging.getLogger("snapsurge.storage.posts")

# 20,000 records of 2 KiB are 40 MiB. A post deleted by another process stays in this cache for CACHED_S at most.
CACHED_MAX = 20_000
CACHED_S = 5.0
# Concurrent store requests of one listing or rebuild.
WIDTH = 16


class DamagedPost(NoSuchPost):
    """A pair was stored for this post, and its intake object cannot be read."""


class Posts:
    """All posts. Methods raise blobs.StoreUnavailable when only the store has the answer and it is unavailable."""

    def __init__(self, store: BlobStore, index: Index) -> None:
        self._store = store
        self._index = index
        self._existence = Existence(store)
        self._finished: TTLCache[str, Post] = TTLCache(CACHED_MAX, CACHED_S)

    async def get(self, post_id: str) -> Post:
        """The post from Redis, else from the store; NoSuchPost, which is a DamagedPost if its pair cannot be read."""
        if not keys.is_post_id(post_id):
            raise NoSuchPost(post_id)
        with contextlib.suppress(RedisError):
            (post,) = await self._index.trusted([post_id])
            if post is not None:
                return post
        return await self._stored(post_id)

    async def _stored(self, post_id: str) -> Post:
        """The post from the store, by a valid id; NoSuchPost, DamagedPost."""
        try:
            return await self.stored(keys.moment_of(post_id), post_id)
        except Damaged as error:
            log.error("%s is damaged: %s", keys.intake(keys.moment_of(post_id), post_id), error)  # noqa: TRY400 - as below
            raise DamagedPost(post_id) from None

    async def finished(self, post_id: str) -> Post:
        """The post's record from the cache while it is fresh, else from `get`, or the store if it is finished there."""
        post = self._finished.get(post_id)
        if post is None:
            post = await self.get(post_id)
            if post.state == "accepted":
                # A worker that cannot reach Redis may have stored the renditions, and not reported them.
                post = await self._stored(post_id)
            if post.state != "accepted":
                self._finished[post_id] = post
        return post

    async def stored(self, moment_id: str, post_id: str) -> Post:
        """The post from the store; NoSuchPost, zips.Damaged.

        A deleted post has no pair in its intake object, even if other objects are left. A post whose media object is
        unreadable is returned as `accepted`, so that it is rendered again.
        """
        there = await self._existence.look(moment_id, post_id)
        if there.receipt is None:
            if there.mark and there.tombstone is None:
                raise Damaged(f"{keys.intake(moment_id, post_id)} cannot be read")
            raise NoSuchPost(post_id)
        try:
            tail = (await self._store.read_tail(keys.media(moment_id, post_id), TAIL_BYTES)).body
            if tombstone_in(tail) is None and (record := media.record_in(tail)).attempt == there.receipt.attempt:
                return record
        except BlobMissing:
            pass
        except Damaged as error:
            log.error("%s is damaged: %s", keys.media(moment_id, post_id), error)  # noqa: TRY400 - as below
        return accepted(there.receipt)

    async def meta(self, post_id: str) -> bytes:
        """The JSON object that the client sent with the pair, or JSON null, from the receipt; NoSuchPost."""
        return bytes((await self._receipt(post_id)).meta)

    async def history(self, post_id: str) -> tuple[Receipt | None, Post]:
        """The receipt, None if the pair cannot be read, and the record with all times that are known; NoSuchPost."""
        try:
            receipt = await self._receipt(post_id)
        except DamagedPost:
            return None, await self.get(post_id)
        post = await self.get(post_id)
        # A deletion and a new post may have come between the two; their times would not fit together.
        return receipt, post if post.attempt == receipt.attempt else accepted(receipt)

    async def _receipt(self, post_id: str) -> Receipt:
        if not keys.is_post_id(post_id):
            raise NoSuchPost(post_id)
        there = await self._existence.look(keys.moment_of(post_id), post_id)
        if there.receipt is None:
            raise DamagedPost(post_id) if there.mark and there.tombstone is None else NoSuchPost(post_id)
        return there.receipt

    async def shown(self, post: Post) -> str:
        """The mark of the media object that holds this record, read from the store itself.

        Empty when that object belongs to another attempt by now; NoSuchPost when there is none or it is a tombstone.
        """
        try:
            tail = await self._store.read_tail(keys.media(post.moment_id, post.id), TAIL_BYTES)
            if tombstone_in(tail.body) is None:
                return tail.mark if media.record_in(tail.body).attempt == post.attempt else ""
        except BlobMissing:
            pass
        except Damaged:
            return ""
        self.drop(post.id)
        raise NoSuchPost(post.id)

    async def rendition(self, post: Post, place: Rendition, offset: int, length: int, mark: str = "") -> bytes:
        """Part of a rendition's bytes, `offset` counted from the rendition's start; NoSuchPost when it is gone.

        With a mark the bytes are from exactly that media object; NoSuchPost when it was replaced.
        """
        key = keys.media(post.moment_id, post.id)
        try:
            return await self._store.read_range(key, place.offset + offset, length, mark)
        except (BlobMissing, BlobChanged):
            self.drop(post.id)
            raise NoSuchPost(post.id) from None

    def drop(self, post_id: str) -> None:
        """Remove the record from the cache."""
        self._finished.pop(post_id, None)

    async def delete(self, post_id: str, deletion: str) -> None:
        """Delete the post; on return no request returns it any more. `deletion` is a `records.attempt_id`.

        NoSuchPost when there is none. redis.RedisError when a Redis may still show the post: the caller deletes again.
        """
        if not keys.is_post_id(post_id):
            raise NoSuchPost(post_id)
        async with self._index.only_primary(post_id):
            found = await self._deleted(post_id, deletion)
        if not found:
            raise NoSuchPost(post_id)

    async def _deleted(self, post_id: str, deletion: str) -> bool:
        """Whether there was a post. The index is updated last, so a deletion that the index has was complete."""
        moment_id, known = keys.moment_of(post_id), ""
        with contextlib.suppress(RedisError):
            known = await self._index.deletion(post_id)
        try:
            await self._existence.end(moment_id, post_id, deletion, known=known)
        except NoSuchPost:
            # Redis may know a pair that the store has lost; the tombstone keeps out uploads sent before.
            (entry,) = await self._index.posts([post_id])
            if entry is None:
                return False
            await self._existence.end(moment_id, post_id, deletion, known=known, bars=True)
        self.drop(post_id)
        await self._index.forget(post_id, moment_id, deletion)
        return True

    async def page(self, moment_id: str, after: str | None, limit: int) -> tuple[list[Post], str | None]:
        """Up to `limit` posts in key order, and the id to continue after; ValueError on a bad `after`."""
        if after is not None and not keys.is_post_id(after):
            raise ValueError("use the `next` value of an earlier page")
        found: list[str] = []
        async for ids in self.ids(moment_id, after, limit + 1):
            found += ids
            if len(found) > limit:
                break
        posts = await self.some(moment_id, found[:limit])
        return posts, found[limit - 1] if len(found) > limit else None

    async def counts(self, moment_id: str) -> Counts:
        """The moment's counts: from each shard of the index that has them, else from the store.

        If a shard lost its counts, its posts are observed again, which restores them.
        """
        names = list(self._index.shards)
        calls = (self._index.shards[name].counts(moment_id) for name in names)
        found = await asyncio.gather(*calls, return_exceptions=True)
        known = [one for one in found if isinstance(one, Counts)]
        for one in found:
            if isinstance(one, BaseException) and not isinstance(one, RedisError | OSError):
                raise one
        missing = [name for name, one in zip(names, found, strict=True) if not isinstance(one, Counts)]
        return reduce(add, [*known, await self._recount(moment_id, missing)]) if missing else reduce(add, known)

    async def _recount(self, moment_id: str, shards: Sequence[str]) -> Counts:
        """Count the posts of these shards from the store; marks a shard's counts complete if it observed all."""
        generations: dict[str, str] = {}
        for shard in shards:
            with contextlib.suppress(RedisError):
                generations[shard] = await self._index.shards[shard].recount(moment_id)
        counted: Counter[str] = Counter()
        recount = Recount(self._index, shards)
        async for ids in self.ids(moment_id):
            async for posts in recount.reported(ids, partial(self._counted_some, moment_id)):
                counted.update(["accepted"] * len(posts))
                counted.update(post.state for post in posts if post.state != "accepted")
                counted.update("late" if post.late else "on_time" for post in posts if post.late is not None)
        for shard in generations.keys() - recount.untold:
            with contextlib.suppress(RedisError):
                await self._index.shards[shard].counts_are_complete(moment_id, generations[shard])
        return counts_of(counted)

    async def ids(
        self, moment_id: str, after: str | None = None, spread_max: int | None = None
    ) -> AsyncIterator[list[str]]:
        """The ids of a moment's posts in key order, a few spreads at a time, from the store alone.

        `spread_max` limits the ids per spread, so that a caller which needs only the first few does not list millions.
        """
        first = 0 if after is None else keys.SPREADS.index(keys.spread(after))
        for start in range(first, len(keys.SPREADS), WIDTH):
            spreads = keys.SPREADS[start : start + WIDTH]
            listed = await together(
                [partial(self._listed, one, moment_id, after, spread_max) for one in spreads], "store-request"
            )
            yield [post_id for ids in listed for post_id in ids]

    async def _listed(self, spread: str, moment_id: str, after: str | None, most: int | None) -> list[str]:
        beyond = keys.intake(moment_id, after) if after is not None else ""
        found: list[str] = []
        async for entry in self._store.list(keys.intake_prefix(spread, moment_id), beyond):
            if entry.size == TOMBSTONE_SIZE or not keys.is_post_id(keys.name_in(entry.key)):
                continue  # deleted, or not written by this program
            found.append(keys.name_in(entry.key))
            if len(found) == most:
                break
        return found

    async def some(self, moment_id: str, ids: Sequence[str], *, index: bool | None = None) -> list[Post]:
        """Posts by id, from the index or else the store; posts deleted meanwhile are left out.

        With `index` redis.RedisError when the index does not answer; when it is False, from the store alone.
        """
        known: dict[str, Post] = {}
        wanted = () if index is False else ids
        with contextlib.suppress(*(() if index else (RedisError,))):
            known = {post.id: post for post in await self._index.trusted(wanted) if post is not None}
        async for posts in self.stored_some(moment_id, [one for one in ids if one not in known]):
            known.update((post.id, post) for post in posts)
        return [known[one] for one in ids if one in known]

    async def stored_some(self, moment_id: str, ids: Sequence[str]) -> AsyncIterator[list[Post]]:
        """Posts from the store, a few at a time; missing and damaged ones are left out."""
        for start in range(0, len(ids), WIDTH):
            reads = [partial(self._stored_or_none, moment_id, one) for one in ids[start : start + WIDTH]]
            found = await together(reads, "store-request")
            yield [post for post in found if post is not None]

    async def _counted_some(self, moment_id: str, ids: Sequence[str]) -> AsyncIterator[list[Post]]:
        """The same for a recount, with the index entries of posts that are damaged: these were accepted, too."""
        unread = set(ids)
        async for posts in self.stored_some(moment_id, ids):
            unread.difference_update(post.id for post in posts)
            yield posts
        known: list[Post | None] = []
        with contextlib.suppress(RedisError):
            known = await self._index.posts(sorted(unread))
        yield [post for post in known if post is not None]

    async def _stored_or_none(self, moment_id: str, post_id: str) -> Post | None:
        try:
            return await self.stored(moment_id, post_id)
        except NoSuchPost:
            return None
        except Damaged as error:  # one that cannot be read must not hide all others
            log.error("%s is damaged: %s", keys.intake(moment_id, post_id), error)  # noqa: TRY400 - the key is what helps
            return None
