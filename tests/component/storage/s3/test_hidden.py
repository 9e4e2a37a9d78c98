"""A member that was away lacks what was written meanwhile; then another one goes: nothing acknowledged is replaced.

MinIO itself lets conditional PUTs replace such objects, which each test shows first, so that the fault is proven.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from storage.blobs import BlobChanged, BlobExists, BlobMissing, QuorumLost, StoreUnavailable
from storage.s3.address import S3Address
from storage.s3.store import S3Store
from tests.erasure import ErasureSet, Member, erasure_set, eventually, used
from tests.unit.storage.s3.members import becomes

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

USERS = 8
AT_ONCE = 40
GAPS_S = (0.02, 0.05, 0.1, 0.2, 0.4)  # from the first change to the end of a member
FAULTS = 3  # MinIO heals the last ones if the member is back within a second or two


def key_of(kind: str, number: int) -> str:
    """A key as of a pair."""
    return f"a7/intake/m/{kind}-{number}.zip"


async def replaced_by(member: Member, key: str) -> bool:
    """Whether this member, asked alone, takes another object for one that is there."""
    async with S3Store(S3Address("rolled", (member.url,), "us-east-1")) as alone:
        try:
            await alone.create(key, b"replaced")
        except BlobExists:
            return False
        return True


async def rolled(cluster: ErasureSet, first: Sequence[Member], last: Sequence[Member]) -> None:
    """Stop the last members, write, start them; stop the first ones, and write other things to the same keys."""
    middle = [one for one in cluster.members if one not in first and one not in last]
    async with opened(cluster) as store:
        for number in range(USERS):
            await store.create(key_of("swapped", number), b"0")
        for one in last:
            one.kill()
        await eventually(lambda: used(store, [*first, *middle]), "the last members are known to be away")
        marks = {}
        for number in range(FAULTS):
            await store.create(key_of("fault", number), b"X")
        for number in range(USERS):
            await store.create(key_of("created", number), b"X")
            key = key_of("swapped", number)
            marks[key] = (await store.read_tail(key, 1)).mark
            await store.swap(key, marks[key], b"X")
        for one in last:
            one.start()
        await eventually(lambda: used(store, cluster.members), "all members are used again")
        for one in first:
            one.kill()
        await eventually(lambda: used(store, [*middle, *last]), "the first members are known to be away")
        faults = [await replaced_by(middle[0], key_of("fault", number)) for number in range(FAULTS)]
        assert any(faults), "this MinIO has no such fault: the test shows nothing"
        for number in range(USERS):
            await kept(store, key_of("created", number))
            key = key_of("swapped", number)
            with pytest.raises((QuorumLost, BlobChanged)):
                await store.swap(key, marks[key], b"Y")
            await store.create(key_of("new", number), b"new")  # what nobody wrote is taken
            assert await store.read(key_of("new", number)) == b"new"
            with pytest.raises(BlobMissing):
                await store.read(key_of("nothing", number))
        async with opened(cluster) as begun:
            await kept(begun, key_of("created", 0))  # a program that did not see what happened before
        for one in first:
            one.start()
        await eventually(lambda: used(store, cluster.members), "all members are used again")
        for number in range(USERS):
            for kind in ("created", "swapped"):
                assert await settled(store, key_of(kind, number)) == b"X"


@contextlib.asynccontextmanager
async def opened(cluster: ErasureSet) -> AsyncIterator[S3Store]:
    """A node's store, as soon as the set can be used."""
    async with contextlib.AsyncExitStack() as stack:
        store = None
        while store is None:
            with contextlib.suppress(StoreUnavailable):
                store = await stack.enter_async_context(S3Store(S3Address.parse(cluster.url("rolled")), examines=True))
        yield store


async def kept(store: S3Store, key: str) -> None:
    """The object, which may be hidden, is neither replaced nor called missing."""
    with pytest.raises((QuorumLost, BlobExists)):
        await store.create(key, b"Y")
    with contextlib.suppress(QuorumLost):
        assert await store.read(key) == b"X"


async def settled(store: S3Store, key: str) -> bytes:
    """The object that is in the way of another one, as soon as the store says which."""
    while True:
        try:
            await store.create(key, b"Y")
        except BlobExists:
            return await store.read(key)
        except StoreUnavailable:
            await eventually(lambda: True, "a moment later")
        else:
            pytest.fail(f"{key} was replaced")


async def test_three_members_with_two_drives_are_stopped_one_after_the_other(tmp_path: Path) -> None:
    """As deploy/README.md sets them up."""
    with erasure_set(tmp_path, members=3, drives=2) as cluster:
        await rolled(cluster, cluster.members[:1], cluster.members[2:])


async def test_six_members_with_a_drive_are_stopped_two_at_a_time(tmp_path: Path) -> None:
    """Two of six may be away."""
    with erasure_set(tmp_path, members=6) as cluster:
        await rolled(cluster, cluster.members[:2], cluster.members[4:])


async def unhealed(cluster: ErasureSet, store: S3Store, kinds: Sequence[str], count: int = 1) -> None:
    """Write objects of these kinds that the first members, so many, do not have, which are there again."""
    for one in cluster.members[:count]:
        one.kill()
    await eventually(lambda: used(store, cluster.members[count:]), "the first members are known to be away")
    for kind in kinds:
        await asyncio.gather(*(store.create(key_of(kind, number), b"X") for number in range(AT_ONCE)))
    for one in cluster.members[:count]:
        one.start()
    await eventually(lambda: used(store, cluster.members), "all members are used again")


async def proven(cluster: ErasureSet) -> None:
    """The first member, asked alone, replaces what it lacks."""
    faults = [await replaced_by(cluster.members[0], key_of("fault", number)) for number in range(FAULTS)]
    assert any(faults), "this MinIO has no such fault: the test shows nothing"


async def other(store: S3Store, key: str) -> bool:
    """Whether another object is taken for one that is there."""
    try:
        await store.create(key, b"Y")
    except (StoreUnavailable, BlobExists):
        return False
    return True


@contextlib.asynccontextmanager
async def quiet(cluster: ErasureSet) -> AsyncIterator[S3Store]:
    """The store of a node that began after all of this, and lists nothing."""
    async with opened(cluster) as store:
        await becomes(lambda: not store._objects.endpoints.shaken)
        yield store


@pytest.mark.parametrize(("members", "drives", "count"), [(3, 2, 1), (6, 1, 2)])
async def test_members_go_while_many_change_what_others_lack(
    tmp_path: Path, members: int, drives: int, count: int
) -> None:
    """All were there when the changes were sent, so nothing was listed before them."""
    kinds = [f"in-flight-{gap_s}" for gap_s in GAPS_S]
    with erasure_set(tmp_path, members, drives) as cluster:
        async with opened(cluster) as store:
            await unhealed(cluster, store, ["fault", *kinds], count)
            last, replaced = cluster.members[-count:], dict.fromkeys(kinds, 0)
            for kind, gap_s in zip(kinds, GAPS_S, strict=True):
                async with quiet(cluster) as begun, asyncio.TaskGroup() as tasks:
                    jobs = [tasks.create_task(other(begun, key_of(kind, number))) for number in range(AT_ONCE)]
                    await asyncio.wait(jobs, timeout=gap_s)
                    await asyncio.gather(*(asyncio.to_thread(one.kill) for one in last))
                replaced[kind] = sum(job.result() for job in jobs)
                if kind == kinds[-1]:
                    await proven(cluster)
                for one in last:
                    one.start()
                await eventually(lambda: used(store, cluster.members), "all members are used again")
            assert not any(replaced.values()), replaced
            for kind in kinds:
                for number in range(AT_ONCE):
                    assert await settled(store, key_of(kind, number)) == b"X"


async def test_drives_go_while_all_members_answer(tmp_path: Path) -> None:
    """MinIO tells it after a second or two."""
    with erasure_set(tmp_path, members=3, drives=2) as cluster:
        async with opened(cluster) as store:
            await unhealed(cluster, store, ["fault", "created"])
            async with quiet(cluster) as begun:
                for drive in cluster.members[2]._drives:
                    drive.rename(f"{drive}.gone")
                    drive.touch()
                await eventually(lambda: not cluster.members[0].health("cluster?maintenance=true"), "they are missed")
                taken = await asyncio.gather(*(other(begun, key_of("created", number)) for number in range(AT_ONCE)))
                assert used(begun, cluster.members), "all members answer"
            await proven(cluster)
            for drive in cluster.members[2]._drives:
                drive.unlink()
                Path(f"{drive}.gone").rename(drive)
            assert not any(taken), sum(taken)
            for number in range(AT_ONCE):
                assert await settled(store, key_of("created", number)) == b"X"


async def test_drives_go_and_minio_does_not_know_it_yet(tmp_path: Path) -> None:
    """For a second or two MinIO tells nobody, and a PUT replaces what the other drives lack."""
    with erasure_set(tmp_path, members=3, drives=2) as cluster:
        async with opened(cluster) as store:
            await eventually(lambda: store._objects.endpoints.looks.canary, "the store has a canary", 240)
            await unhealed(cluster, store, ["fault", "created"])
            async with quiet(cluster) as begun:
                for drive in cluster.members[2]._drives:
                    drive.rename(f"{drive}.gone")
                    drive.symlink_to(drive)  # every access fails, and nothing is taken for missing
                taken = await asyncio.gather(*(other(begun, key_of("created", number)) for number in range(AT_ONCE)))
                assert used(begun, cluster.members), "all members answer"
            await proven(cluster)
            for drive in cluster.members[2]._drives:
                drive.unlink()
                Path(f"{drive}.gone").rename(drive)
            assert not any(taken), sum(taken)
            for number in range(AT_ONCE):
                assert await settled(store, key_of("created", number)) == b"X"
