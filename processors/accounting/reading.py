"""Reads all that the account of a moment is made of: every post, the tallies of the nodes, dead letters, old accounts.

The store lists the posts, so none is missing. Their records come from the index, which has them all for two days, or
else from the store. If Redis does not answer there is no account, rather than one that lacks what only Redis has;
`store_alone` reads nothing from Redis.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from functools import partial

from msgspec import structs
from redis.asyncio import Redis
from redis.exceptions import RedisError

from storage import keys
from storage.account_objects import Accounts
from storage.accounts import BUDGET_MOMENTS, Account, budget
from storage.blobs import BlobStore
from storage.moments import Moments
from storage.posts import Posts
from storage.sharded_index import ShardedIndex
from storage.tallies import Tallied, tallied
from storage.together import together
from storage.tombstones import SIZE as TOMBSTONE_SIZE

from ..letters import DeadLetters
from .sums import Sums

# Spreads listed at the same time, and posts read in one call of the index.
WIDTH = 16
BATCH = 500


class Reader:
    """Computes accounts. Methods raise blobs.StoreUnavailable, and unless `store_alone` redis.RedisError."""

    def __init__(self, store: BlobStore, redis: Redis, shards: Mapping[str, Redis]) -> None:
        index = ShardedIndex(redis, shards)
        self._store, self._redis = store, redis
        self._moments, self._posts = Moments(store, index), Posts(store, index)
        self._letters = DeadLetters(*shards.values())
        self._accounts = Accounts(store)

    async def account(
        self, moment_id: str, *, now_ms: int, stored: Account | None = None, store_alone: bool = False
    ) -> Account:
        """The account of a moment as of `now_ms`; moments.NoSuchMoment."""
        moment = await self._moments.get(moment_id)
        told, letters = await self._told(moment_id, needed=not store_alone)
        sums = Sums(moment, told.refused if told is not None else {})
        for start in range(0, len(keys.SPREADS), WIDTH):
            spreads = keys.SPREADS[start : start + WIDTH]
            listed = await together([partial(self._listed, one, moment_id) for one in spreads], "account-list")
            ids = [post_id for some, _ in listed for post_id in some]
            sums.gone(post_id for _, some in listed for post_id in some)
            for first in range(0, len(ids), BATCH):
                sums.add(await self._posts.some(moment_id, ids[first : first + BATCH], index=not store_alone))
                await asyncio.sleep(0)
        account = sums.account(told, letters, now_ms=now_ms, stored=stored)
        earlier = await self._accounts.before(account, BUDGET_MOMENTS - 1)
        return structs.replace(account, budget=budget([account, *earlier]))

    async def _told(self, moment_id: str, *, needed: bool) -> tuple[Tallied | None, Mapping[str, int]]:
        """What the nodes told, and the moment's dead letters by reason; without Redis nothing, unless `needed`."""
        try:
            told, letters = await tallied(self._redis, moment_id), await self._letters.all()
        except (RedisError, OSError):
            if needed:
                raise
            return None, {}
        return told, Counter(one.reason for one in letters if one.args[:1] == (moment_id,))

    async def _listed(self, spread: str, moment_id: str) -> tuple[list[str], list[str]]:
        """The ids of the posts in a spread, and those of tombstones."""
        ids, gone = list[str](), list[str]()
        async for entry in self._store.list(keys.intake_prefix(spread, moment_id)):
            if keys.is_post_id(keys.name_in(entry.key)):
                (gone if entry.size == TOMBSTONE_SIZE else ids).append(keys.name_in(entry.key))
        return ids, gone
