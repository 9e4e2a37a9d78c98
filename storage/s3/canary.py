"""An object that no member of a MinIO can read while two drives are missing: it tells at once that drives failed.

MinIO's health, and its listings, notice a drive that failed after a second or two; a read asks the drives themselves.
An object of the class REDUCED_REDUNDANCY has one parity shard, so its HEAD succeeds only where all drives but one
show it. In a set of an even number of drives one drive alone hides nothing, because a write quorum is more than half.

While a drive is away MinIO gives what is written more parity. So the canary is made when all have been there for a
while, and believed if a listing says that it has one parity shard (`metadata=true`, "ObjectInternalInfo" in MinIO's
cmd/api-response.go). It is never changed, so members that were away have it. All programs of a bucket share it.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Protocol

from .. import keys
from ..blobs import Buffer
from . import listing
from .answer import Answer
from .request import Method, announced

log = logging.getLogger("snapsurge.storage.s3")

KEY: Final = keys.probe("canary")
PARITY: Final = 1
_BODY: Final = b"Leave this object here: it tells at once that drives of the store failed."


class Call(Protocol):
    """A call to the bucket, as `Objects.call`; OSError."""

    async def __call__(
        self,
        method: Method,
        key: str,
        fields: Mapping[str, str] | None = None,
        parts: Sequence[Buffer] = (),
        *,
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        """The answer."""


class Canary:
    """The canary of a bucket; `head` makes a signed HEAD of it for a host. Methods raise OSError."""

    def __init__(self, head: Callable[[str], Awaitable[bytes]], call: Call) -> None:
        self.head, self._call = head, call
        self._told = False

    async def fit(self, *, make: bool) -> bool:
        """Whether it is there and can be believed; `make`: if it is missing, it is made, to be asked for again."""
        said = await self._call("GET", "", query={**listing.query(KEY, most=1), "metadata": "true"})
        try:
            parity = listing.parity(said.body, KEY) if said.went_well else 0
        except listing.BadListing:
            return False
        if parity is None and make:
            fields = {**announced([_BODY]), "if-none-match": "*", "x-amz-storage-class": "REDUCED_REDUNDANCY"}
            await self._call("PUT", KEY, fields, [_BODY])
        if parity and parity != PARITY and not self._told:
            self._told = True
            log.warning(
                "object %s has %d parity shards instead of %d, so drives that fail are noticed two seconds late; leave "
                "MINIO_STORAGE_CLASS_RRS at EC:1, and remove the object while all drives are there: it is made again",
                KEY,
                parity,
                PARITY,
            )
        return parity == PARITY
