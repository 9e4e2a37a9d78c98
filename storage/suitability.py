"""Tests whether a store keeps the promises that the existence of posts rests on: `create` and `swap` have one winner.

Several stores accept `If-None-Match: *` or `If-Match` and let all of several concurrent PUTs succeed. With such a store
posts are lost or doubled, and nobody would notice before a burst. So a node races eight of each kind when it starts.
The requests go to all endpoints, because each goes to the least busy one, and there are two for each endpoint at least.
`races` alone is for one endpoint that comes later, beside another. This file knows the port only.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Final

from . import keys
from .blobs import BlobChanged, BlobExists, BlobMissing, BlobStore, StoreUnavailable, StoreUnsuitable

RACERS: Final = 8
# Of all losers and no winner one has won, and its answer was lost.
TRIES_MAX: Final = 3
KNOWN: Final = (
    "Known to be wrong: SeaweedFS up to 4.16, RustFS with several endpoints, and Google Cloud Storage, whose condition "
    "is x-goog-if-generation-match. Use another store or a later version (MinIO, AWS S3, Cloudflare R2, Ceph's and "
    "others' documented conditional writes); SNAPSURGE_STORAGE_PROBE=off starts without this test"
)


async def check(store: BlobStore, racers: int = RACERS) -> None:
    """Return if the store keeps its promises; StoreUnsuitable says which one it breaks; StoreUnavailable."""
    await _repeated(store, lambda key: _one_wins(store, key, racers))


async def races(store: BlobStore) -> None:
    """Return if both races have one winner; StoreUnsuitable; StoreUnavailable, BlobMissing: it was not found out."""
    await _repeated(store, lambda key: _both(store, key, RACERS))


async def _repeated(store: BlobStore, test: Callable[[str], Awaitable[bool]]) -> None:
    for _ in range(TRIES_MAX):
        key = keys.probe(secrets.token_hex(8))
        try:
            if await test(key):
                return
        except StoreUnsuitable as error:
            raise StoreUnsuitable(f"this store cannot be used: {error}. {KNOWN}") from error
        finally:
            await store.delete(key)
    raise StoreUnavailable("the store could not be tested: of several PUTs none was answered as the winner")


async def _one_wins(store: BlobStore, key: str, racers: int) -> bool:
    """Whether both races had one winner; False if none is known to have won."""
    try:
        await store.read_tail(key, 1)
    except BlobMissing:  # what is missing must be told from what may not be seen
        pass
    else:
        raise StoreUnsuitable("it finds an object that nobody wrote")
    if not await _both(store, key, racers):
        return False
    found = [entry.key async for entry in store.list(keys.PROBES_PREFIX, after=key[:-1])]
    if key not in found:
        raise StoreUnsuitable("a listing lacks an object that was just written")
    return True


async def _both(store: BlobStore, key: str, racers: int) -> bool:
    if not await _race(store, key, "If-None-Match: *", lambda body: store.create(key, body), racers):
        return False
    mark = (await store.read_tail(key, 1)).mark
    return await _race(store, key, "If-Match", lambda body: store.swap(key, mark, body), racers)


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
        raise StoreUnsuitable(f"{len(winners)} of {racers} concurrent PUTs with {condition} succeeded, instead of one")
    for end in ends:
        if isinstance(end, BaseException):
            raise end
    if winners and winners != [await store.read(key)]:
        raise StoreUnsuitable(f"an object is not the one whose PUT with {condition} succeeded")
    return bool(winners)
