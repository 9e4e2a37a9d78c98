"""Reports to the index by whoever has just read the posts from the store."""

import contextlib
from collections.abc import Sequence

from redis.exceptions import RedisError

from storage.index import Index, Observed, Report
from storage.records import Post


async def observed(index: Index, posts: Sequence[Post]) -> list[Observed]:
    """The answers to reports with fresh stamps."""
    stamps = dict[str, str]()
    for name, shard in index.shards.items():
        with contextlib.suppress(RedisError):
            stamps[name] = await shard.stamp()
    return await index.observe([Report(one, stamps.get(index.home(one.id), "")) for one in posts])
