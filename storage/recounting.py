"""Reports posts to the index as they are read from the store, for a recount.

A recount meets posts that the index has lost, so each report needs a stamp of before its post was read (`index.py`).
Stamps are good for seconds: there is one for every few posts.
"""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence

from redis.exceptions import RedisError

from .index import Index, Report
from .records import Post

# Posts under one stamp of each shard: the store reads them at the same time.
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
            stamps = await self._stamps({self._index.home(one) for one in some})
            async for posts in read(some):
                await self._tell(posts, stamps)
                yield posts

    async def _stamps(self, shards: set[str]) -> Mapping[str, str]:
        stamps = dict[str, str]()
        for shard in sorted(shards - self.untold):
            try:
                stamps[shard] = await self._index.shards[shard].stamp()
            except RedisError:
                self.untold.add(shard)
        return stamps

    async def _tell(self, posts: Sequence[Post], stamps: Mapping[str, str]) -> None:
        for shard, stamp in stamps.items():
            mine = [Report(one, stamp) for one in posts if self._index.home(one.id) == shard]
            try:
                if "unproven" in await self._index.shards[shard].observe(mine):
                    self.untold.add(shard)
            except RedisError:
                self.untold.add(shard)
