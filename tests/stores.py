"""What tests do to a store that no program of ours may: look whether a key is taken, and write over what it holds."""

from storage.blobs import BlobMissing, BlobStore


async def taken(store: BlobStore, key: str) -> bool:
    """Whether there is an object."""
    try:
        await store.read_tail(key, 1)
    except BlobMissing:
        return False
    return True


async def put(store: BlobStore, key: str, body: bytes) -> None:
    """This object, whatever was there."""
    await store.delete(key)
    await store.create(key, body)
