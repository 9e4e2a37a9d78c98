"""A shelf on files and a real Redis, and the fixtures of the storage unit tests."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from storage.blobs import BlobStore
from storage.existence import Existence
from storage.files import FileStore
from storage.index import Index
from storage.moments import Moments
from storage.posts import Posts
from storage.records import Post, Receipt, accepted
from tests.reports import observed
from tests.unit.storage.conftest import files, make_post, make_receipt

__all__ = ["files", "make_post", "make_receipt"]


class Shelf:
    """Store, index, moments and posts, built as a program builds them."""

    def __init__(self, store: BlobStore, redis: Redis) -> None:
        self.store = store
        self.redis = redis
        self.index = Index(redis)
        self.moments = Moments(store, self.index)
        self.posts = Posts(store, self.index)
        self.existence = Existence(store)

    def again(self, redis: Redis | None = None) -> "Shelf":
        """The same store as another process sees it, with empty caches."""
        return Shelf(self.store, redis or self.redis)

    async def accept(self, receipt: Receipt, *, tell: bool = True) -> Post:
        """Commit a pair as a node does and, with `tell`, add it to the index."""
        assert await self.existence.commit(receipt, b"front", b"back") is receipt
        if tell:
            await observed(self.index, [accepted(receipt)])
        return accepted(receipt)


@pytest.fixture
async def shelf(files: FileStore, redis: Redis) -> Shelf:
    """A shelf on a file store and the real Redis."""
    return Shelf(files, redis)


@pytest.fixture
async def redis_away(free_port: int) -> AsyncIterator[Redis]:
    """A client of a Redis that does not run."""
    async with Redis(port=free_port, socket_connect_timeout=0.5) as client:
        yield client
