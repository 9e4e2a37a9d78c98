"""Looks for pairs that Redis knows and of which the store has nothing any more: neither pair, tombstone nor renditions.

No program leaves that while the moment is kept: a deletion leaves a tombstone until the index was told of it. Redis has
no list of a moment's posts, so every key of each shard is looked at (SCAN), some at a time; a post that has an entry
costs one small read of the store. Only entries prove a loss by post. They expire two days after a post is finished;
from then on the counts alone, which live for 30 days, may tell that there was one (index_check.py).

Nothing here is repaired. With `repairs` the entries of lost pairs are kept for as long as counts.
"""

import asyncio
import contextlib
from functools import partial

from redis.exceptions import NoPermissionError, RedisError

from storage import keys
from storage.blobs import BlobStore
from storage.existence import Existence
from storage.records import Post
from storage.sharded_index import ShardedIndex
from storage.together import together

from .verdicts import Verified

# Entries that are compared with the store at the same time.
WIDTH = 16
# What has no object is looked at again, so often.
LOOKS = 4


class LostPairs:
    """The search of one verification; methods raise blobs.StoreUnavailable. `again_s`: seconds between two looks."""

    def __init__(self, store: BlobStore, index: ShardedIndex, *, repairs: bool, again_s: float) -> None:
        self._index = index
        self._existence = Existence(store)
        self._repairs = repairs
        self._again_s = again_s

    async def allowed(self) -> None:
        """NoPermissionError if the user of Redis may not look for entries, before hours of reading are in vain."""
        for one in self._index.shards.values():
            try:
                await one.scan("none", 0, 1)
            except NoPermissionError:
                raise
            except (RedisError, OSError):
                continue  # `search` finds out, too

    async def search(self, moment_id: str, found: Verified) -> None:
        """Look at each entry of the moment's posts."""
        named = set[str]()  # SCAN may return a key twice
        try:
            for shard, one in self._index.shards.items():
                cursor = None
                while cursor != 0:
                    cursor, ids = await one.scan(moment_id, cursor or 0)
                    # An entry on a former home is read by nobody, and may be of a post that was deleted since.
                    mine = [post_id for post_id in ids if self._index.home(post_id) == shard]
                    for start in range(0, len(mine), WIDTH):
                        some = [partial(self._compare, one, found, named) for one in mine[start : start + WIDTH]]
                        await together(some, "verify-entry")
        except (RedisError, OSError):
            found.index_compared = False

    async def _compare(self, post_id: str, found: Verified, named: set[str]) -> None:
        moment_id, entry = keys.moment_of(post_id), None
        for look in range(LOOKS):
            if (await self._existence.look(moment_id, post_id)).mark:
                return
            if await self._existence.shows(moment_id, post_id):
                return  # the objects tell of this loss
            entry = await self._entry(post_id)
            if entry is None:
                return
            await asyncio.sleep(self._again_s if look + 1 < LOOKS else 0)
        if entry is None or post_id in named:
            return
        named.add(post_id)
        found.lost_pairs += 1
        what = f"post {post_id}: Redis knows it ({entry.state}, received {entry.received_at}), the store has nothing"
        if self._repairs:
            with contextlib.suppress(RedisError, OSError):
                await self._index.keep(post_id)
                what += "; its entry is kept for 30 days"
        found.say("lost", keys.intake(moment_id, post_id), f"{what}; the user's phone may send the pair again")

    async def _entry(self, post_id: str) -> Post | None:
        """The entry, unless Redis also knows that this attempt was deleted."""
        (entry,) = await self._index.posts([post_id])
        return None if entry is None or entry.attempt <= await self._index.deletion(post_id) else entry
