"""Reports to the index by whoever has just read the posts from the store."""

from collections.abc import Sequence

from storage.index import Index, Observed, Report
from storage.records import Post


async def observed(index: Index, posts: Sequence[Post]) -> list[Observed]:
    """The answers to reports with fresh proofs."""
    proofs = {name: await shard.proof() for name, shard in index.shards.items()}
    return await index.observe([Report(one, proofs[index.home(one.id)]) for one in posts])
