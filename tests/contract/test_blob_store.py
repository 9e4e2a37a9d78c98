"""The promises of `storage.blobs.BlobStore`, the same suite on both stores: real files, real MinIO."""

import asyncio
import random
from pathlib import Path

import pytest

from storage.blobs import BlobExists, BlobMissing, BlobStore, Entry, StoreUnavailable
from storage.files import FileStore
from storage.s3.address import S3Address
from storage.s3.store import S3Store

KEY = "a7/intake/eu-20260131-abcdefgh/xyz.zip"


async def listed(store: BlobStore, prefix: str, after: str = "") -> list[str]:
    """A listing as a list."""
    return [entry.key async for entry in store.list(prefix, after)]


async def mark_of(store: BlobStore, key: str = KEY) -> str:
    """The mark of what is there now."""
    return (await store.read_tail(key, 1)).mark


async def fill(store: BlobStore, keys: list[str]) -> None:
    """One tiny object under each key, many at once."""
    waiting = iter(keys)

    async def put() -> None:
        for key in waiting:
            await store.create(key, b".")

    async with asyncio.TaskGroup() as group:
        for _ in range(32):
            group.create_task(put())


async def test_what_was_created_is_read_back(store: BlobStore) -> None:
    """An object has the bytes that were put."""
    await store.create(KEY, b"one")

    assert await store.read(KEY) == b"one"


@pytest.mark.parametrize("size", [0, 5 * 1024 * 1024 + 1])
async def test_bodies_of_any_size_are_byte_equal(store: BlobStore, size: int) -> None:
    """An empty object and one of five MiB come back as they went."""
    body = random.Random(size).randbytes(size)
    await store.create(KEY, body)
    await store.create(f"{KEY}2", b"something else")
    await store.swap(f"{KEY}2", await mark_of(store, f"{KEY}2"), body)

    assert await store.read(KEY) == body
    assert await store.read(f"{KEY}2") == body
    assert (await store.read_tail(KEY, 8192)).body == body[-8192:]


async def test_a_second_create_changes_nothing(store: BlobStore) -> None:
    """BlobExists says that the first stays."""
    await store.create(KEY, b"first")

    with pytest.raises(BlobExists):
        await store.create(KEY, b"second")
    assert await store.read(KEY) == b"first"


async def test_of_many_creates_at_once_exactly_one_wins(store: BlobStore) -> None:
    """32 at once: one returns, 31 get BlobExists, and the winner's bytes are those that stay."""
    bodies = [f"writer {number}".encode() * 100 for number in range(32)]

    async def attempt(body: bytes) -> bytes | None:
        try:
            await store.create(KEY, body)
        except BlobExists:
            return None
        return body

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(attempt(body)) for body in bodies]
    winners = [task.result() for task in tasks if task.result() is not None]

    assert winners == [await store.read(KEY)]


async def test_an_object_may_be_given_in_parts(store: BlobStore) -> None:
    """Bytes, views and empty buffers in a row, more than one system call takes, are one object; nothing is one too."""
    parts = [b"one", memoryview(b"-two-")[1:4], b"", bytearray(b"three"), *([b"."] * 2000), bytes(300_000)]
    await store.create(KEY, *parts)
    await store.create(f"{KEY}-empty")

    assert await store.read(KEY) == b"onetwothree" + b"." * 2000 + bytes(300_000)
    assert await store.read(f"{KEY}-empty") == b""


async def test_a_range_inside_the_object(store: BlobStore) -> None:
    """The first byte, some in the middle, up to the last, all."""
    body = bytes(range(256))
    await store.create(KEY, body)

    for offset, length in ((0, 1), (100, 56), (255, 1), (0, 256)):
        assert await store.read_range(KEY, offset, length) == body[offset : offset + length]


@pytest.mark.parametrize(("offset", "length"), [(255, 2), (256, 1), (1000, 10)])
async def test_a_range_that_the_object_does_not_have(store: BlobStore, offset: int, length: int) -> None:
    """It is missing, in part or whole: nobody gets fewer bytes than asked for."""
    await store.create(KEY, bytes(range(256)))

    with pytest.raises(BlobMissing):
        await store.read_range(KEY, offset, length)


@pytest.mark.parametrize("length", [1, 255, 256, 257, 8192])
async def test_a_tail_shorter_or_longer_than_the_object(store: BlobStore, length: int) -> None:
    """The last bytes, or all of a shorter object."""
    body = bytes(range(256))
    await store.create(KEY, body)

    assert (await store.read_tail(KEY, length)).body == body[-length:]


async def test_reading_nothing_says_so(store: BlobStore) -> None:
    """Whole, range and tail of no object: BlobMissing."""
    with pytest.raises(BlobMissing):
        await store.read(KEY)
    with pytest.raises(BlobMissing):
        await store.read_range(KEY, 0, 1)
    with pytest.raises(BlobMissing):
        await store.read_tail(KEY, 1)


async def test_deleted_is_gone_and_may_be_deleted_again(store: BlobStore) -> None:
    """After a delete the key is free: a second delete is no error, a new create wins."""
    await store.create(KEY, b"one")
    await store.delete(KEY)
    await store.delete(KEY)

    assert await listed(store, "a7/intake/") == []
    await store.create(KEY, b"two")
    assert await store.read(KEY) == b"two"


async def test_a_listing_is_sorted_and_keeps_to_its_prefix(store: BlobStore) -> None:
    """Keys below the prefix at any depth, in order; neighbours stay out."""
    keys = ["a7/intake/m/c.zip", "a7/intake/m/a.zip", "a7/intake/m-2/b.zip", "a7/media/m/a.zip", "a8/intake/m/a.zip"]
    for key in keys:
        await store.create(key, b".")

    assert await listed(store, "a7/intake/m/") == ["a7/intake/m/a.zip", "a7/intake/m/c.zip"]
    assert await listed(store, "a7/") == sorted(keys[:4])
    assert await listed(store, "moments/") == []


async def test_a_listing_tells_how_long_objects_are(store: BlobStore) -> None:
    """Also of one that is empty, and of one that was swapped for another."""
    await store.create("a7/x", b"")
    await store.create("a7/y", b"some bytes")
    await store.swap("a7/y", await mark_of(store, "a7/y"), b"some more bytes")

    assert [entry async for entry in store.list("a7/")] == [Entry("a7/x", 0), Entry("a7/y", 15)]


async def test_a_listing_goes_on_after_a_key(store: BlobStore) -> None:
    """`after` is itself left out, need not exist, and may lie before or beyond everything."""
    for name in "abcd":
        await store.create(f"a7/intake/m/{name}", b".")

    assert await listed(store, "a7/intake/m/", "a7/intake/m/b") == ["a7/intake/m/c", "a7/intake/m/d"]
    assert await listed(store, "a7/intake/m/", "a7/intake/m/bb") == ["a7/intake/m/c", "a7/intake/m/d"]
    assert await listed(store, "a7/intake/m/", "a7/intake/m/d") == []
    assert len(await listed(store, "a7/intake/m/", "00/intake/z/z")) == 4


async def test_a_listing_is_longer_than_a_page(store: BlobStore) -> None:
    """S3 gives a thousand keys at a time: 1,050 come all, once, in order, and from the middle too."""
    keys = [f"a7/intake/m/{number:04}" for number in range(1050)]
    await fill(store, keys)

    assert await listed(store, "a7/intake/m/") == keys
    assert await listed(store, "a7/intake/m/", keys[20]) == keys[21:]


async def test_folders_are_listed_together(store: BlobStore) -> None:
    """Those that were asked for, whole, and no other, however the names resemble each other; most may be empty."""
    moments = [f"{region}-20260101-{end}" for region in ("eu", "eu-west", "us") for end in ("aa", "ab", "b")]
    keys = {one: f"a7/intake/{one}/{number}.zip" for number, one in enumerate([*moments, "eu", "plain"])}
    await fill(store, [*keys.values(), "a7/media/eu/x.zip", "00/intake/eu/x.zip"])

    async def found(*folders: str) -> list[str]:
        return sorted([entry.key async for entry in store.list_in("a7/", ["intake"], folders)])

    for wanted in ([], ["eu"], ["eu-20260101-aa", "eu-20260101-b"], ["plain", "us-20260101-ab"], moments, list(keys)):
        empty = ["eu-20260101-none", "us-20260102-none", "nothing"]
        assert await found(*wanted, *empty) == sorted(keys[one] for one in wanted)


async def test_parents_are_listed_one_after_the_other(store: BlobStore) -> None:
    """All of the first, then all of the second."""
    keys = [f"a7/{parent}/eu-{number}/x" for parent in ("intake", "media") for number in range(3)]
    await fill(store, [*keys, "a7/other/eu-1/x"])

    found = [entry.key async for entry in store.list_in("a7/", ["intake", "media"], ["eu-0", "eu-1", "eu-2"])]

    assert sorted(found) == keys
    assert [key.split("/")[1] for key in found] == ["intake"] * 3 + ["media"] * 3


async def test_folders_far_apart_are_listed_whole(store: BlobStore) -> None:
    """With more keys between them than a page of S3 has, and more in one of them."""
    between = [f"a7/intake/m-20260101-{number % 7}/{number:04}" for number in range(1050)]
    ends = [f"a7/intake/{one}/x" for one in ("a-20260101-a", "a-20260101-b", "z-20260101-a")]
    await fill(store, [*between, *ends])
    folders = ["a-20260101-a", "a-20260101-b", "z-20260101-a"]

    assert sorted([entry.key async for entry in store.list_in("a7/", ["intake"], folders)]) == ends
    folders = [f"m-20260101-{number}" for number in range(7)]
    assert sorted([entry.key async for entry in store.list_in("a7/", ["intake"], folders)]) == sorted(between)


async def test_a_listing_may_be_left_early(store: BlobStore) -> None:
    """Who wants only the first key takes it and goes."""
    for name in "ab":
        await store.create(f"a7/intake/m/{name}", b".")

    async for entry in store.list("a7/intake/m/"):
        assert entry.key == "a7/intake/m/a"
        break


async def test_a_store_that_answers_probes_well(store: BlobStore) -> None:
    """The probe returns, also of an empty store."""
    await store.probe()


@pytest.mark.parametrize("kind", ["file", "s3"])
async def test_a_store_that_is_not_there_cannot_be_opened(
    kind: str, tmp_path: Path, free_port: int, minio_url: str
) -> None:
    """A path under a regular file, a port where nobody listens: StoreUnavailable."""
    (tmp_path / "regular").write_bytes(b"")
    away: BlobStore = FileStore(tmp_path / "regular" / "store")
    if kind == "s3":
        address = S3Address.parse(f"s3://bucket?endpoint=http://127.0.0.1:{free_port}")
        away = S3Store(address, attempts_max=1, connect_timeout_s=0.5)

    with pytest.raises(StoreUnavailable):
        async with away:
            pass
