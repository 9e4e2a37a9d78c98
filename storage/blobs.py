"""The port to the object store: what a store must guarantee, and which errors it may raise.

The object store is the source of truth. Two classes implement the port, `files.FileStore` and `s3.S3Store`; one
contract suite runs on both. `keys.py` makes the keys.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from types import TracebackType
from typing import Protocol, Self

import msgspec

Buffer = bytes | bytearray | memoryview


class BlobExists(Exception):
    """An object with this key exists already; nothing was changed."""


class BlobMissing(Exception):
    """No object has this key, or the object is shorter than the range that was asked for."""


class BlobChanged(Exception):
    """The object under this key is not the one with the given mark; nothing was changed."""


class StoreUnavailable(Exception):
    """The store failed or did not answer: a server error, worth a retry. It may or may not have written the object."""


class StoreFull(StoreUnavailable):
    """The store has no space left; a retry succeeds only after an operator has freed some."""


class QuorumLost(StoreUnavailable):
    """Too many of the store's machines are away; it takes no change until enough are back. This is not load."""


class StoreUnsuitable(StoreUnavailable):
    """The store does not keep the promises below, or its bucket is set up so that posts are lost: not to be used."""


class Blob(msgspec.Struct, frozen=True):
    """Bytes of an object, and the mark that identifies this version of the object.

    Marks under one key are unique only if every object written there has unique content, because S3 derives entity tags
    from the bytes.
    """

    body: bytes
    mark: str


class Entry(msgspec.Struct, frozen=True):
    """One row of a listing: an object's key and its length in bytes."""

    key: str
    size: int


class BlobStore(Protocol):
    """Objects by key. Every method may raise StoreUnavailable; an object that can be read is complete and durable.

    Every change except `delete` is conditional, so that a request which is delayed or sent twice cannot overwrite a
    later change.
    """

    async def create(self, key: str, *parts: Buffer) -> None:
        """Write a new object from these buffers in order. Durable on return; until then they must not be modified.

        Of several concurrent calls exactly one succeeds; the others raise BlobExists.
        """

    async def swap(self, key: str, mark: str, *parts: Buffer) -> None:
        """Replace the object that has this mark; readers see either the old object or the new one, complete.

        Durable on return. BlobChanged when the key holds another object or none; of several concurrent calls exactly
        one succeeds. A store with versioning then removes the version that was replaced.
        """

    async def read(self, key: str) -> bytes:
        """The complete object; BlobMissing."""

    async def read_range(self, key: str, offset: int, length: int, mark: str = "") -> bytes:
        """`length` bytes from `offset`; BlobMissing; BlobChanged if `mark` is given and is not the object's."""

    async def read_tail(self, key: str, length: int) -> Blob:
        """The last `length` bytes, or the complete object if it is shorter; BlobMissing."""

    async def delete(self, key: str) -> None:
        """Delete the object, if any. Unconditional, so only for keys that no request writes any more."""

    def list(self, prefix: str, after: str = "") -> AsyncIterator[Entry]:
        """The objects under a prefix that ends in `/`, sorted by key, with keys greater than `after`."""

    def list_in(self, prefix: str, parents: Sequence[str], folders: Collection[str]) -> AsyncIterator[Entry]:
        """The objects under `{prefix}{parent}/{folder}/` for these parents, sorted, and folders, most of them empty.

        The prefix ends in `/`. A parent is listed before the next one begins; within a parent there is no order.
        """

    async def probe(self) -> None:
        """Return if the store answers, else raise StoreUnavailable."""

    async def __aenter__(self) -> Self:
        """Open connections; create the bucket or folder if it is missing."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
