"""Reports posts to the index as they are read from the store, for a recount."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence

from redis.exceptions import RedisError

from .index import Index, Report
from .records import Post

# Posts under one proof of each shard: the store reads them at the same time, while the proof is good.
SOME = 16


class Recount:
    """The reports of one recount to these shards; `untold` are the shards that may lack posts that were read."""

    def __init__(self, index: Index, shards: Collection[str]) -> None:
        self._index = index
        self._shards = frozenset(shards)
        self.untold: set[str] = set()

    async def reported(
        self, ids: Sequence[str], read: Callable[[Sequence[str]], AsyncIterator[list[Post]]]
    ) -> AsyncIterator[list[Post]]:
        """Read posts of these shards by id, report them, and yield them, a few at a time. The errors of `read`."""
        wanted = [one for one in ids if self._index.home(one) in self._shards]
        for start in range(0, len(wanted), SOME):
            some = wanted[start : start + SOME]
            # Before the posts are read: a recount meets posts that the index lost, and an entry is created only with
            # a proof of before the reading (index.py).
            proofs = await self._proofs({self._index.home(one) for one in some})
            async for posts in read(some):
                await self._tell(posts, proofs)
                yield posts

    async def _proofs(self, shards: set[str]) -> Mapping[str, str]:
        proofs = dict[str, str]()
        for shard in sorted(shards - self.untold):
            try:
                proofs[shard] = await self._index.shards[shard].proof()
            except RedisError:
                self.untold.add(shard)
        return proofs

    async def _tell(self, posts: Sequence[Post], proofs: Mapping[str, str]) -> None:
        for shard, proof in proofs.items():
            mine = [Report(one, proof) for one in posts if self._index.home(one.id) == shard]
            try:
                if "unproven" in await self._index.shards[shard].observe(mine):
                    self.untold.add(shard)
            except RedisError:
                self.untold.add(shard)
