"""Tests whether a store keeps the promises that the existence of posts rests on: `create` and `swap` have one winner.

Several stores accept `If-None-Match: *` or `If-Match` and let all of several concurrent PUTs succeed. With such a store
posts are lost or doubled, and nobody would notice before a burst. So a node races eight of each kind when it starts.
The requests go to all endpoints that serve, because each goes to the least busy one; there are two for each at least.
A MinIO whose members have just started fails the test too, until they see each other; so a failed test is repeated for
a while. This file knows the port only.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Final

from . import keys
from .blobs import BlobChanged, BlobExists, BlobMissing, BlobStore, StoreUnavailable, StoreUnsuitable

RACERS: Final = 8
# Of all losers and no winner one has won, and its answer was lost.
TRIES_MAX: Final = 3
# Members of a MinIO that were restarted together saw each other after 15 to 35 s.
PATIENCE_S: Final = 60.0
EVERY_S: Final = 2.0
CAUSES: Final = (
    "Most likely members of the store do not see each other: check that all of them run and reach each other. "
    "Otherwise the store does not keep conditional writes, as SeaweedFS up to 4.16, RustFS with several endpoints, and "
    "Google Cloud Storage, whose condition is x-goog-if-generation-match: use another store or a later version (MinIO, "
    "AWS S3, Cloudflare R2, Ceph's and others' documented conditional writes). Posts are lost on a store that fails "
    "this test; SNAPSURGE_STORAGE_PROBE=off starts without it"
)

log = logging.getLogger("snapsurge.storage.suitability")


class _Broken(StoreUnsuitable):
    """A promise was seen broken, perhaps by a store that starts."""


async def check(store: BlobStore, racers: int = RACERS, patience_s: float = PATIENCE_S) -> None:
    """Return if the store keeps its promises; StoreUnsuitable says which one it breaks; StoreUnavailable."""
    loop = asyncio.get_running_loop()
    until = loop.time() + patience_s
    while True:
        try:
            return await _checked(store, racers)
        except _Broken as error:
            left_s = until - loop.time()
            if left_s <= 0:
                raise StoreUnsuitable(
                    f"this store cannot be used: {error}, for {patience_s:.0f} s. {CAUSES}"
                ) from error
            log.warning(
                "store check failed: %s; retrying for up to %.0f s, in case the store is still starting", error, left_s
            )
        await asyncio.sleep(min(EVERY_S, left_s))


async def _checked(store: BlobStore, racers: int) -> None:
    for _ in range(TRIES_MAX):
        key = keys.probe(secrets.token_hex(8))
        try:
            if await _one_wins(store, key, racers):
                return
        except BlobMissing as error:
            raise _Broken(f"an object that was just written is missing ({error})") from error
        finally:
            await store.delete(key)
    raise StoreUnavailable(f"the store could not be tested: of {racers} PUTs none was answered as the winner")


async def _one_wins(store: BlobStore, key: str, racers: int) -> bool:
    """Whether both races had one winner; False if none is known to have won."""
    try:
        await store.read_tail(key, 1)
    except BlobMissing:  # what is missing must be told from what may not be seen
        pass
    else:
        raise _Broken("it finds an object that nobody wrote")
    if not await _race(store, key, "If-None-Match: *", lambda body: store.create(key, body), racers):
        return False
    mark = (await store.read_tail(key, 1)).mark
    if not await _race(store, key, "If-Match", lambda body: store.swap(key, mark, body), racers):
        return False
    found = [entry.key async for entry in store.list(keys.PROBES_PREFIX, after=key[:-1])]
    if key not in found:
        raise _Broken("a listing lacks an object that was just written")
    return True


async def _race(
    store: BlobStore, key: str, condition: str, put: Callable[[bytes], Awaitable[None]], racers: int
) -> bool:
    async def won(body: bytes) -> bytes:
        try:
            await put(body)
        except (BlobExists, BlobChanged):
            return b""
        return body

    bodies = [secrets.token_hex(8).encode() for _ in range(racers)]
    ends = await asyncio.gather(*(won(body) for body in bodies), return_exceptions=True)
    winners = [end for end in ends if isinstance(end, bytes) and end]
    if len(winners) > 1:
        raise _Broken(f"{len(winners)} of {racers} concurrent PUTs with {condition} succeeded, instead of one")
    for end in ends:
        if isinstance(end, BaseException):
            raise end
    if winners and winners != [await store.read(key)]:
        raise _Broken(f"an object is not the one whose PUT with {condition} succeeded")
    return bool(winners)
