"""The port to the object store, which is the truth: what a store must promise, and how it may fail.

Two stores keep it: `files.FileStore` and `s3.S3Store`; one contract suite runs on both. Keys are those of `keys.py`.
"""

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Protocol, Self

import msgspec

Buffer = bytes | bytearray | memoryview


class BlobExists(Exception):
    """There is an object under this key already; nothing was changed."""


class BlobMissing(Exception):
    """There is no object under this key, or not so much of one."""


class BlobChanged(Exception):
    """The object under this key is not the one that was seen; nothing was changed."""


class StoreUnavailable(Exception):
    """The store did not do it, or did not say; our fault, worth a retry. The object may or may not be there."""


class StoreFull(StoreUnavailable):
    """The store has no room; a retry helps only after ops made some."""


class Blob(msgspec.Struct, frozen=True):
    """Bytes of an object, and the mark of that very object.

    No other object under its key has the same mark, if each has something in it that no other has: S3 makes marks of
    the bytes.
    """

    body: bytes
    mark: str


class Entry(msgspec.Struct, frozen=True):
    """A line of a listing: an object's key, and its length in bytes."""

    key: str
    size: int


class BlobStore(Protocol):
    """Objects under keys. Every method may raise StoreUnavailable; a blob, once seen, is whole and durable.

    Every change but `delete` is conditional, so that a request which is late, or comes twice, changes nothing that came
    after it.
    """

    async def create(self, key: str, *parts: Buffer) -> None:
        """Put a new object of these buffers in a row: durable when this returns; until then they must not change.

        Of many at once exactly one wins, the others get BlobExists.
        """

    async def swap(self, key: str, mark: str, *parts: Buffer) -> None:
        """Put an object of these buffers in place of the one with this mark; readers see the old or the new, whole.

        Durable when this returns. BlobChanged when another object is there, or none: of many at once exactly one wins.
        Where the store keeps versions, that of the object replaced is removed.
        """

    async def read(self, key: str) -> bytes:
        """The whole object, or BlobMissing."""

    async def read_range(self, key: str, offset: int, length: int, mark: str = "") -> bytes:
        """`length` bytes from `offset`, of the object with this mark if one is given; BlobMissing, BlobChanged."""

    async def read_tail(self, key: str, length: int) -> Blob:
        """The last `length` bytes, or all of a shorter object; BlobMissing."""

    async def delete(self, key: str) -> None:
        """Remove whatever object is there; none is no error. Only for keys that nobody writes any more."""

    def list(self, prefix: str, after: str = "") -> AsyncIterator[Entry]:
        """The objects under a prefix that ends in `/`, sorted by key, from the first greater than `after`."""

    async def probe(self) -> None:
        """Return when the store answers; StoreUnavailable when it does not."""

    async def __aenter__(self) -> Self:
        """Open connections, and the bucket or folder where it is missing."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close them."""
