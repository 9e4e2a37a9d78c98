"""The index as jobs use it: calls of jobs that run at the same time share one round trip to each shard.

A worker runs many flags at once, each with one read and one report. A shard that does not answer fails its own posts
alone.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from storage.index import Index, Observed, Report
from storage.queue.batch import Batcher
from storage.records import Post


class BatchedIndex:
    """`async with BatchedIndex(index) as batched`. Methods raise redis.RedisError."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._reads = {name: Batcher[str, Post | None](one.posts) for name, one in index.shards.items()}
        self._reports = {name: Batcher[Report, Observed](one.observe) for name, one in index.shards.items()}
        self._proofs = {name: Batcher[None, str](_proving(one)) for name, one in index.shards.items()}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for read in self._reads.values():
            await self._stack.enter_async_context(read)
        for report in self._reports.values():
            await self._stack.enter_async_context(report)
        for proof in self._proofs.values():
            await self._stack.enter_async_context(proof)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    async def post(self, post_id: str) -> Post | None:
        """The post's record; None if the index does not have the post."""
        return await self._reads[self._index.home(post_id)].add(post_id)

    async def proof(self, post_id: str) -> str:
        """A proof of the post's shard; see `Index.proof`."""
        return await self._proofs[self._index.home(post_id)].add(None)

    async def observe(self, post: Post, proof: str = "") -> Observed:
        """Report the post; see `Index.observing`."""
        return await self._reports[self._index.home(post.id)].add(Report(post, proof))


def _proving(index: Index) -> Callable[[Sequence[None]], Awaitable[Sequence[str]]]:
    """The flush function for the proofs of one shard: one for all that asked before."""

    async def proofs(asked: Sequence[None]) -> Sequence[str]:
        return [await index.proof()] * len(asked)

    return proofs
