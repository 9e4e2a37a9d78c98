"""The port to the object store, which is the truth: what a store must promise, and how it may fail.

Two stores keep it: `files.FileStore` and `s3.S3Store`; one contract suite runs on both. Keys are those of `keys.py`.
"""

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Protocol, Self

Buffer = bytes | bytearray | memoryview


class BlobExists(Exception):
    """There is an object under this key already; nothing was changed."""


class BlobMissing(Exception):
    """There is no object under this key."""


class StoreUnavailable(Exception):
    """The store did not do it, or did not say; our fault, worth a retry. The object may or may not be there."""


class StoreFull(StoreUnavailable):
    """The store has no room; a retry helps only after ops made some."""


class BlobStore(Protocol):
    """Objects under keys. Every method may raise StoreUnavailable; a blob, once seen, is whole and durable."""

    async def create(self, key: str, *parts: Buffer) -> None:
        """Put a new object of these buffers in a row: durable when this returns; until then they must not change.

        Of many at once exactly one wins, the others get BlobExists.
        """

    async def replace(self, key: str, body: bytes) -> None:
        """Put an object over whatever is there: durable when this returns; readers see the old or the new, whole."""

    async def read(self, key: str) -> bytes:
        """The whole object, or BlobMissing."""

    async def read_range(self, key: str, offset: int, length: int) -> bytes:
        """`length` bytes from `offset` (both inside the object), or BlobMissing."""

    async def read_tail(self, key: str, length: int) -> bytes:
        """The last `length` bytes, or all of a shorter object; BlobMissing."""

    async def exists(self, key: str) -> bool:
        """Whether there is such an object, asked of the store itself."""

    async def delete(self, key: str) -> None:
        """Remove the object for good; none there is no error."""

    def list(self, prefix: str, after: str = "") -> AsyncIterator[str]:
        """The keys under a prefix that ends in `/`, sorted, from the first greater than `after`."""

    async def probe(self) -> None:
        """Return when the store answers; StoreUnavailable when it does not."""

    async def __aenter__(self) -> Self:
        """Open connections, and the bucket or folder where it is missing."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close them."""
