"""`swap`, the store's compare-and-swap, the same suite on both stores: what is late, doubled or at once."""

import asyncio

import pytest

from storage.blobs import BlobChanged, BlobExists, BlobMissing, BlobStore

KEY = "a7/intake/eu-20260131-abcdefgh/xyz.zip"


async def mark_of(store: BlobStore, key: str = KEY) -> str:
    """The mark of what is there now."""
    return (await store.read_tail(key, 1)).mark


async def put_over(store: BlobStore, body: bytes) -> None:
    """Swap until it is there, whoever else does."""
    while True:
        try:
            return await store.swap(KEY, await mark_of(store), body)
        except BlobChanged:
            continue


async def test_swap_takes_the_place_of_what_was_seen(store: BlobStore) -> None:
    """The object is another one then, and has another mark."""
    await store.create(KEY, b"old and long")
    before = await store.read_tail(KEY, 100)
    await store.swap(KEY, before.mark, b"n", b"ew")

    after = await store.read_tail(KEY, 100)
    assert (before.body, after.body) == (b"old and long", b"new")
    assert before.mark != after.mark


@pytest.mark.parametrize("later", [(), (b"three",), (b"three", b"four")])
async def test_a_change_that_comes_late_or_twice_changes_nothing(store: BlobStore, later: tuple[bytes, ...]) -> None:
    """Whatever came after it: a create and a swap that are sent again find what they name no more."""
    await store.create(KEY, b"one")
    first = await mark_of(store)
    await store.swap(KEY, first, b"two")
    for body in later:
        await store.swap(KEY, await mark_of(store), body)
    there = await store.read_tail(KEY, 100)

    with pytest.raises(BlobChanged):
        await store.swap(KEY, first, b"two")
    with pytest.raises(BlobExists):
        await store.create(KEY, b"one")
    assert await store.read_tail(KEY, 100) == there


async def test_a_swap_of_nothing_says_so(store: BlobStore) -> None:
    """An object that is gone is not the one that was seen, nor is one that never was."""
    await store.create(KEY, b"one")
    mark = await mark_of(store)
    await store.delete(KEY)

    for key in (KEY, f"{KEY}-never"):
        with pytest.raises(BlobChanged):
            await store.swap(key, mark, b"two")
        with pytest.raises(BlobMissing):
            await store.read(key)


async def test_of_many_swaps_at_once_exactly_one_wins(store: BlobStore) -> None:
    """16 at once that saw the same object: one returns, 15 get BlobChanged, and the winner's bytes are there."""
    await store.create(KEY, b"before")
    mark = await mark_of(store)

    async def attempt(body: bytes) -> bytes | None:
        try:
            await store.swap(KEY, mark, body)
        except BlobChanged:
            return None
        return body

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(attempt(f"writer {number}".encode() * 100)) for number in range(16)]

    assert [task.result() for task in tasks if task.result()] == [await store.read(KEY)]


async def test_a_part_may_be_asked_of_the_very_object_that_was_seen(store: BlobStore) -> None:
    """With its mark the bytes come as long as it is there; then BlobChanged, or BlobMissing where nothing is."""
    await store.create(KEY, b"0123456789")
    mark = await mark_of(store)
    assert await store.read_range(KEY, 2, 3, mark) == b"234"

    await store.swap(KEY, mark, b"abcdefghij")
    with pytest.raises(BlobChanged):
        await store.read_range(KEY, 2, 3, mark)
    await store.delete(KEY)
    with pytest.raises(BlobMissing):
        await store.read_range(KEY, 2, 3, mark)


async def test_a_reader_never_sees_half_a_swap(store: BlobStore) -> None:
    """While an object is replaced over and over, each read gives one of the bodies, whole."""
    bodies = {bytes([number]) * 200_000 for number in range(8)}
    await store.create(KEY, next(iter(bodies)))

    async with asyncio.TaskGroup() as group:
        for body in bodies:
            group.create_task(put_over(store, body))
        reads = [group.create_task(store.read(KEY)) for _ in range(16)]

    assert {read.result() for read in reads} <= bodies
