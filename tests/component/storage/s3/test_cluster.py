"""The S3 store on a real erasure set of four MinIO processes that are killed, stopped, wiped and started again.

A body of 300 KB is more than MinIO keeps with its metadata, so its shards are streams between the members; a small one
goes another way. Each test leaves the set whole.
"""

import asyncio
import random
from collections.abc import Iterator, Sequence
from functools import partial

import pytest

from storage import suitability
from storage.blobs import BlobChanged, BlobExists, QuorumLost, StoreUnavailable
from storage.s3.address import S3Address
from storage.s3.endpoint import State
from storage.s3.store import S3Store
from tests.erasure import ErasureSet, Member, erasure_set, eventually

PAIR = random.Random(7).randbytes(300_000)
# A request that would wait for a lock until this time ends the test by its own time limit.
NEVER_S = 600.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ErasureSet]:
    """One set for all tests of this file."""
    with erasure_set(tmp_path_factory.mktemp("erasure")) as made:
        yield made


def opened(cluster: ErasureSet, *, silence_s: float = 10.0, members: Sequence[Member] = ()) -> S3Store:
    """A store with these members as endpoints, or all."""
    urls = tuple(one.url for one in members or cluster.members)
    return S3Store(S3Address("cluster", urls, "us-east-1"), read_timeout_s=silence_s)


def body_of(number: int) -> bytes:
    """A body that no other object has; every other one is large."""
    return (PAIR if number % 2 else b"") + str(number).encode()


async def posted(store: S3Store, key: str, body: bytes) -> None:
    """Create the object as a phone posts: again after each 503, until the store has it or had it already."""
    while True:
        try:
            await store.create(key, body)
        except StoreUnavailable:
            await eventually(lambda: True, "a moment later")
        except BlobExists:
            assert await store.read(key) == body
            return
        else:
            return


async def created(store: S3Store, prefix: str, count: int = 12, *, retried: bool = False) -> dict[str, bytes]:
    """What was created under the prefix, six at a time; unless `retried`, no attempt failed."""
    made: dict[str, bytes] = {}
    numbers = iter(range(count))

    async def put() -> None:
        for number in numbers:
            key, body = f"{prefix}/{number:03}", body_of(number)
            await (posted(store, key, body) if retried else store.create(key, body))
            made[key] = body

    async with asyncio.TaskGroup() as group:
        for _ in range(6):
            group.create_task(put())
    return made


async def read(store: S3Store, key: str) -> bytes:
    """The object, as a viewer gets it who asks again after a 503: members take a moment to know who is away."""
    while True:
        try:
            return await store.read(key)
        except QuorumLost:
            await eventually(lambda: True, "a moment later")


async def same(store: S3Store, made: dict[str, bytes], *, listed: bool = True) -> None:
    """Everything is there, byte for byte, and in the listing."""
    for key, body in made.items():
        assert await read(store, key) == body, key
    if not listed:
        return
    for prefix in {key.partition("/")[0] for key in made}:
        found = {entry.key async for entry in store.list(f"{prefix}/")}
        assert found >= {key for key in made if key.startswith(f"{prefix}/")}


def has_some(member: Member, prefix: str) -> bool:
    """Whether the member's drive has a shard of an object under this prefix."""
    return any(key.startswith(prefix) for key in member.objects("cluster"))


def state_of(store: S3Store, member: Member) -> State:
    """What the store thinks of this member."""
    return next(one.state for one in store._objects.endpoints.all if one.url == member.url)


@pytest.mark.alone  # beside others MinIO may answer SlowDownWrite, which says nothing of who wins
async def test_races_through_different_members_have_one_winner(cluster: ErasureSet) -> None:
    """Of 8 creates and of 8 swaps of one key, two through each member; and the test of a starting node passes."""
    stores = [opened(cluster, members=[one]) for one in cluster.members]

    async def raced(kind: str, mark: str = "") -> bytes:
        async def put(number: int) -> None:
            store, body = stores[number % 4], f"{kind} {number}".encode()
            await (store.swap("race", mark, body) if mark else store.create("race", body))

        ends = await asyncio.gather(*map(put, range(8)), return_exceptions=True)
        assert {type(end) for end in ends if end is not None} == {BlobChanged if mark else BlobExists}
        (winner,) = [number for number, end in enumerate(ends) if end is None]
        return f"{kind} {winner}".encode()

    async with stores[0], stores[1], stores[2], stores[3], opened(cluster) as store:
        first = await raced("create")
        tail = await store.read_tail("race", 100)
        assert tail.body == first
        assert await raced("swap", tail.mark) == await store.read("race")
        await suitability.check(store)
        async with asyncio.timeout(60):  # the stores' own tests of agreement may still be cleaning up
            while [entry async for entry in store.list("probe/")]:
                pass


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_members_go_and_come_back(cluster: ErasureSet) -> None:
    """One away: no upload fails. Two: uploads end as `QuorumLost`, not by silence, and reads go on. Back: all is there.

    Some reads go on after a moment. What an upload that failed left behind is nothing, or the whole object.
    """
    async with opened(cluster, silence_s=NEVER_S) as store:
        made = await created(store, "whole")
        cluster.members[0].kill()
        made |= await created(store, "three", 24)
        assert state_of(store, cluster.members[0]) is State.DOWN
        await same(store, made)

        cluster.members[1].kill()
        for number in range(12):
            with pytest.raises(QuorumLost, match="SlowDownWrite"):
                await store.create(f"two/{number:03}", body_of(number))
        await same(store, made, listed=False)
        with pytest.raises(QuorumLost):  # two members may not know of all objects
            await anext(store.list("whole/"))

        await cluster.mend()
        await eventually(lambda: all(state_of(store, one) is State.UP for one in cluster.members), "all serve again")
        made |= await created(store, "two", retried=True)
        await same(store, made)


@pytest.mark.long
@pytest.mark.timeout(400)
async def test_a_member_killed_under_uploads_costs_only_their_time(cluster: ErasureSet) -> None:
    """A phone that tries again has its pair stored once, whole, while the member is away.

    MinIO keeps the locks of a member that died for a minute or two, so the uploads that it had wait so long.
    """
    await cluster.mend()
    victim = cluster.members[2]
    async with opened(cluster, silence_s=3.0) as store:
        async with asyncio.TaskGroup() as group:
            uploads = group.create_task(created(store, "under", 60, retried=True))
            await eventually(partial(has_some, victim, "under/"), "uploads are under way")
            victim.kill()
        assert len(uploads.result()) == 60
        await same(store, uploads.result())
        await cluster.mend()
        await same(store, uploads.result())


@pytest.mark.long
@pytest.mark.parametrize("count", [1, 2])
async def test_members_that_hang_lose_nothing(cluster: ErasureSet, count: int) -> None:
    """Stopped, not dead: MinIO's others wait for them, so uploads end by silence; then everything goes on.

    An upload may be done that was answered with an error; it is whole, and no other of this key is stored beside it.
    """
    await cluster.mend()
    async with opened(cluster, silence_s=2.0) as store:
        made = await created(store, f"hang{count}")
        for one in cluster.members[:count]:
            one.stop()
        ends = await asyncio.gather(
            *(store.create(f"hung{count}/{number:03}", body_of(number)) for number in range(12)),
            return_exceptions=True,
        )
        assert [end for end in ends if end is not None and not isinstance(end, StoreUnavailable)] == []
        await cluster.mend()
        made |= await created(store, f"hung{count}", retried=True)
        await same(store, made)


@pytest.mark.long
@pytest.mark.timeout(400)
async def test_a_member_that_was_wiped_is_healed_meanwhile(cluster: ErasureSet) -> None:
    """Uploads go on while it heals; then it and one other member alone have everything, byte for byte."""
    await cluster.mend()
    wiped, other, *rest = cluster.members
    async with opened(cluster) as store:
        made = await created(store, "wiped", 40)
        wiped.kill()
        wiped.wipe()
        made |= await created(store, "away", 20)
        wiped.start()
        made |= await created(store, "healing", 20, retried=True)
        await cluster.mend()
        await eventually(lambda: wiped.objects("cluster") >= made.keys(), "the drive is healed", 240)
        for one in rest:
            one.kill()
        async with opened(cluster, members=[other]) as left:
            for key, body in made.items():
                assert await left.read(key) == body
        await cluster.mend()
        await same(store, made)
