"""The S3 store on a real erasure set of four MinIO processes that are killed, stopped, wiped and started again.

The order counts: each test leaves the set whole. A body of 300 KB is more than MinIO keeps in its metadata, so its
shards are streams between the members; a small one goes another way.
"""

import asyncio
import logging
import random
import time
from collections.abc import Iterator

import pytest

from storage import suitability
from storage.blobs import BlobChanged, BlobExists, QuorumLost, StoreUnavailable
from storage.s3.address import S3Address
from storage.s3.store import S3Store
from tests.erasure import ErasureSet, erasure_set, eventually

PAIR = random.Random(7).randbytes(300_000)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ErasureSet]:
    """One set for all tests of this file."""
    with erasure_set(tmp_path_factory.mktemp("erasure")) as made:
        yield made


def opened(cluster: ErasureSet, bucket: str = "cluster", **limits: float) -> S3Store:
    """A store with all members as endpoints."""
    return S3Store(S3Address.parse(cluster.url(bucket)), **limits)  # type: ignore[arg-type]


async def created(store: S3Store, prefix: str, count: int, at_once: int = 8) -> dict[str, bytes]:
    """What was created under the prefix: key and bytes; each of them was acknowledged."""
    made: dict[str, bytes] = {}
    numbers = iter(range(count))

    async def put() -> None:
        for number in numbers:
            key, body = f"{prefix}{number:03}", PAIR[: 200 if number % 2 else len(PAIR)] + str(number).encode()
            await store.create(key, body)
            made[key] = body

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(put())
    return made


async def same(store: S3Store, made: dict[str, bytes]) -> None:
    """Everything is there, byte for byte, and in the listing."""
    for key, body in made.items():
        assert await store.read(key) == body
    prefix = min(made).rpartition("/")[0] + "/"
    assert {entry.key for entry in [entry async for entry in store.list(prefix)]} >= made.keys()


async def test_a_race_through_different_members_has_one_winner(cluster: ErasureSet) -> None:
    """Of 8 creates and of 8 swaps of one key, by clients of two members each; and the test of a starting node agrees."""
    async with opened(cluster) as store:
        t = time.monotonic()
        await suitability.check(store)
        print("suitability", time.monotonic() - t)
        assert [entry.key async for entry in store.list("probe/")] == []
    stores = [S3Store(S3Address("cluster", (one.url,), "us-east-1")) for one in cluster.members] * 2

    async def raced(kind: str, mark: str) -> list[int]:
        async def put(number: int) -> None:
            store = stores[number]
            await (
                store.create("aa/race", kind.encode(), b"%d" % number)
                if not mark
                else store.swap("aa/race", mark, kind.encode(), b"%d" % number)
            )

        ends = await asyncio.gather(*map(put, range(8)), return_exceptions=True)
        assert {type(end) for end in ends if end is not None} == {BlobChanged if mark else BlobExists}
        return [number for number, end in enumerate(ends) if end is None]

    async with stores[0], stores[1], stores[2], stores[3]:
        t = time.monotonic()
        (winner,) = await raced("create", "")
        print("race", time.monotonic() - t)
        tail = await stores[3].read_tail("aa/race", 100)
        assert tail.body == b"create%d" % winner
        (winner,) = await raced("swap", tail.mark)
        assert await stores[2].read("aa/race") == b"swap%d" % winner


async def test_a_killed_member_is_not_noticed(cluster: ErasureSet, caplog: pytest.LogCaptureFixture) -> None:
    """Under uploads: all succeed; it is left out, and used again when it is back."""
    async with opened(cluster) as store:
        victim = cluster.members[0]
        victim_end = next(one for one in store._objects._endpoints.all if one.url == victim.url)
        before = await created(store, "b1/x", 8)
        async with asyncio.TaskGroup() as group:
            uploads = group.create_task(created(store, "b1/y", 60))
            await asyncio.sleep(0)
            victim.kill()
        made = {**before, **uploads.result()}
        assert len(made) == 68
        await same(store, made)
        assert victim_end.state.name == "DOWN"
        t = time.monotonic()
        victim.start()
        await eventually(lambda: victim_end.state.name == "UP", "the endpoint is used again")
        print("back after", time.monotonic() - t)
        cluster.whole()
        await same(store, made)
    print([r.getMessage() for r in caplog.records])


async def test_lost_quorum(cluster: ErasureSet, caplog: pytest.LogCaptureFixture) -> None:
    async with opened(cluster) as store:
        before = await created(store, "c1/before/", 8)
        for one in cluster.members[:2]:
            one.kill()
        for n in range(6):
            t = time.monotonic()
            with pytest.raises(StoreUnavailable) as e:
                await store.create(f"c1/lost/{n}", PAIR if n % 2 else b"x")
            print("lost", n, time.monotonic() - t, repr(e.value))
        await same(store, before)
        t = time.monotonic()
        for one in cluster.members[:2]:
            one.start()
        while True:
            try:
                await store.create(f"c1/back/{time.monotonic()}", PAIR)
                break
            except StoreUnavailable:
                await asyncio.sleep(0.2)
        print("back", time.monotonic() - t)
        cluster.whole()
        await same(store, before)
    print("\n".join([r.getMessage() for r in caplog.records]))


async def test_hung(cluster: ErasureSet, caplog: pytest.LogCaptureFixture) -> None:
    async with opened(cluster) as store:
        before = await created(store, "d1/before/", 8)
        for many in (1, 2):
            for one in cluster.members[:many]:
                one.stop()
            for n in range(6):
                t = time.monotonic()
                try:
                    await store.create(f"d1/lost/{many}{n}", PAIR if n % 2 else b"x")
                    print("stopped", many, n, time.monotonic() - t)
                except StoreUnavailable as e:
                    print("stopped", many, n, time.monotonic() - t, repr(e))
            for key in before:
                t = time.monotonic()
                try:
                    await store.read(key)
                    print("read", key, time.monotonic() - t)
                except StoreUnavailable as e:
                    print("read", key, time.monotonic() - t, repr(e))
            t = time.monotonic()
            cluster.mend()
            print("mended", time.monotonic() - t)
            await same(store, before)
            print("same", time.monotonic() - t)
    print("\n".join([r.getMessage() for r in caplog.records]))
