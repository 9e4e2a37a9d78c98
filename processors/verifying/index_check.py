"""Compares the index of a moment with its objects. Redis may be away, may lack posts, and may be behind for an instant.

An entry that is missing is nothing wrong: entries expire, and reads then go to the store. What an entry says otherwise
than the store, or of a deleted post, is a finding if it stays so. Repairs report the store's records again.
"""

import asyncio
from collections.abc import Sequence

from redis.exceptions import RedisError

from storage import keys
from storage.blobs import BlobStore, StoreUnavailable
from storage.existence import Existence
from storage.index import Counts, Report
from storage.posts import NoSuchPost, Posts
from storage.records import Post, flagged
from storage.sharded_index import ShardedIndex
from storage.zips import Damaged

from .verdicts import Verified, differences

# Posts whose index entries are read in one command.
BATCH = 256
# What differs is compared again, so often.
LOOKS = 4


class IndexCheck:
    """The index of one verification; methods raise blobs.StoreUnavailable. `again_s`: seconds between two looks."""

    def __init__(self, store: BlobStore, index: ShardedIndex, *, repairs: bool, again_s: float) -> None:
        self._index = index
        self._posts = Posts(store, index)
        self._existence = Existence(store)
        self._repairs = repairs
        self._again_s = again_s
        self._expired = False  # whether a post that was compared has no entry (any more)

    async def entry(self, stored: Post, found: Verified) -> None:
        """Compare the index entry of a post, if there is one, with its record in the store."""
        key, wrong, proof = keys.POST_KEY + stored.id, list[str](), ""
        shard = self._index.shards[self._index.home(stored.id)]
        try:
            for look in range(LOOKS):
                (entry,) = await self._index.posts([stored.id])
                self._expired = self._expired or entry is None
                wrong = differences(entry, stored) if entry is not None else []
                if not wrong:
                    return
                await asyncio.sleep(self._again_s if look + 1 < LOOKS else 0)
                proof = await shard.proof()
                stored = await self._stored(stored)
            if self._repairs:
                # The report of a record changes nothing in an entry of the same attempt and state.
                await self._index.drop([stored.id])
                await shard.observe([Report(stored, proof)])
                await self._void(stored.moment_id)
        except NoSuchPost:
            return  # deleted meanwhile
        except (RedisError, OSError):
            found.index_compared = False
            return
        found.say("index", key, "; ".join(wrong), "the store's record was reported" if self._repairs else "")

    async def deletions(self, post_ids: Sequence[str], found: Verified) -> None:
        """Look for entries of deleted posts."""
        for start in range(0, len(post_ids), BATCH):
            try:
                for entry in await self._index.posts(post_ids[start : start + BATCH]):
                    if entry is not None:
                        await self._deleted(entry, found)
            except (RedisError, OSError):
                found.index_compared = False

    async def _deleted(self, entry: Post, found: Verified) -> None:
        there = await self._existence.look(entry.moment_id, entry.id)
        if there.tombstone is None or entry.attempt > there.decided:
            return
        if self._repairs:
            await self._index.forget(entry.id, entry.moment_id, there.decided)
        done = "the deletion was reported" if self._repairs else ""
        found.say("index", keys.POST_KEY + entry.id, "the post was deleted", done)

    async def counted(self, moment_id: str, found: Verified) -> Counts | None:
        """Redis' counts of the moment, where they are complete."""
        try:
            return await self._index.counts(moment_id)
        except (RedisError, OSError):
            found.index_compared = False
            return None

    async def counts(self, moment_id: str, found: Verified, began: Counts | None, *, removed: bool = False) -> None:
        """Compare the counts in Redis with the store's; not if they changed since the verification `began`.

        `removed`: retention removes the moment's posts, so that Redis may count more.
        """
        try:
            if self._repairs and found.found.get("index"):
                began = await self._posts.counts(moment_id)
            found.index = await self.counted(moment_id, found)
            if found.index is None or found.index != began or found.agrees(found.index):
                return
            await asyncio.sleep(self._again_s)  # a post may be stored and not yet reported
            found.index = await self.counted(moment_id, found)
            if found.index != began:
                return
            await self._listed_all(moment_id, found)
            if self._may_be_lost(found.index, found) and not removed:
                found.say("lost", keys.COUNTS_KEY + moment_id, _unnamed(found.index, found))
                return
            detail = f"Redis counts {found.index}, the store has {found.store}, and {found.unreadable} unreadable"
            if self._repairs:
                await self._void(moment_id)
                found.index = await self._posts.counts(moment_id)
        except (RedisError, OSError):
            found.index_compared = False
            return
        done = "they were counted again" if self._repairs and found.agrees(found.index) else ""
        found.say("index", keys.COUNTS_KEY + moment_id, detail, done)

    def _may_be_lost(self, index: Counts, found: Verified) -> bool:
        """Whether the counts alone tell of lost pairs; a deletion after its entry expired changes no counts."""
        return self._expired and index.accepted > found.accepted_max + found.deleted

    async def _listed_all(self, moment_id: str, found: Verified) -> None:
        """StoreUnavailable if the listings of this verification lacked posts that the store lists now."""
        number = sum([len(ids) async for ids in self._posts.ids(moment_id)])
        if number > found.posts:
            raise StoreUnavailable(
                f"the store lists {number} posts now and listed {found.posts} before: members of it were away, or "
                "posts came meanwhile; verify again"
            )

    async def _void(self, moment_id: str) -> None:
        for one in self._index.shards.values():
            await one.void_counts([moment_id])

    async def _stored(self, post: Post) -> Post:
        """The record in the store now, flagged as the index has it; NoSuchPost."""
        there = (await self._existence.look(post.moment_id, post.id)).receipt
        if there is None:
            raise NoSuchPost(post.id)
        try:
            return flagged(await self._posts.stored(post.moment_id, post.id), there.late_by_ms)
        except Damaged:
            return post


def _unnamed(index: Counts, found: Verified) -> str:
    """What is said of pairs that only the counts tell of."""
    number = index.accepted - found.accepted_max - found.deleted
    return (
        f"Redis counted {index.accepted} posts, the store has {found.posts} and {found.deleted} deleted ones: {number} "
        f"pair{'s' * (number > 1)} may be lost; their ids are unknown, because index entries of the moment have "
        "expired. The counts are left unchanged; to have them counted again, remove this key"
    )
