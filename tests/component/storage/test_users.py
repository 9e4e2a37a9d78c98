"""All posts of a user by moments: deleted on every kind of store, with what may still be on its way."""

from collections.abc import Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from storage import keys
from storage.blobs import BlobStore
from storage.existence import NoSuchPost, Superseded
from storage.queue.jobs import jobs_of
from storage.queue.shards import Shards
from storage.records import OPEN_MS, Receipt, accepted, to_ms
from storage.users import CLOCKS_MS, Erased, Kept, Users
from tests.component.storage.conftest import Shelf
from tests.component.storage.test_existence import rendered, shown

MakeReceipt = Callable[..., Receipt]
FIRES_MS = to_ms("2026-01-31T12:00:00.000Z")
FIRST, GONE, SECOND = (f"{number}".ljust(32, "0") for number in range(1, 4))  # in this order


def users(shelf: Shelf, now_ms: int) -> Users:
    """The users of a shelf at this time."""
    queue = Shards({"": shelf.redis})
    return Users(shelf.store, shelf.index, shelf.moments, shelf.posts, queue, clock=lambda: now_ms / 1000)


@pytest.mark.parametrize(
    ("after_ms", "bars"),
    [(-CLOCKS_MS - 1, False), (-CLOCKS_MS, True), (OPEN_MS, True), (OPEN_MS + 1, False)],
)
async def test_only_moments_that_may_accept_posts_are_barred(
    store: BlobStore, redis: Redis, make_receipt: MakeReceipt, after_ms: int, *, bars: bool
) -> None:
    """From when it fires by any balancer's clock until no upload can be committed any more, on each store."""
    shelf = Shelf(store, redis)
    moment = await shelf.moments.create("eu", FIRES_MS, 120)

    erasure = await users(shelf, FIRES_MS + after_ms).erase("ann", GONE, "")

    assert erasure.barred == ([moment.id] if bars else [])
    assert (erasure.deleted, erasure.moments, erasure.next) == ([], 1, None)
    early = make_receipt(moment_id=moment.id, attempt=FIRST)
    if bars:
        with pytest.raises(Superseded):
            await shelf.existence.commit(early, b"front", b"back")
    else:
        assert await shelf.existence.commit(early, b"front", b"back") is early


async def test_what_was_posted_after_the_deletion_was_sent_stays(shelf: Shelf, make_receipt: MakeReceipt) -> None:
    """The receipt names it; jobs of what is deleted are removed, a running one and other posts' stay."""
    moments = sorted([(await shelf.moments.create("eu", FIRES_MS, 120)).id for _ in range(2)])
    old, new = (
        make_receipt(moment_id=moment, attempt=attempt)
        for moment, attempt in zip(moments, (FIRST, SECOND), strict=True)
    )
    for receipt in (old, new):
        await shelf.accept(receipt)
        await Shards({"": shelf.redis}).enqueue(jobs_of(receipt.moment_id, receipt.id))
    await shelf.redis.hset(keys.LEASES_KEY, f"flag_late:{old.id}", b"leased")

    erasure = await users(shelf, FIRES_MS + 1000).erase("ann", GONE, "")

    objects = [keys.intake(old.moment_id, old.id), keys.media(old.moment_id, old.id)]
    assert erasure.deleted == [Erased(post_id=old.id, moment_id=old.moment_id, held="pair", objects=objects, jobs=1)]
    assert erasure.kept == [Kept(post_id=new.id, moment_id=new.moment_id)]
    left: list[Any] = sorted([one.decode() for one in await shelf.redis.keys("arq:job:*")])
    assert left == sorted(
        [f"arq:job:flag_late:{old.id}", *(f"arq:job:{job.id}" for job in jobs_of(new.moment_id, new.id))]
    )
    assert [post.id for post in (await users(shelf, FIRES_MS).page("ann", "", 10))[0]] == [new.id]


async def test_renditions_whose_pair_the_store_lost_are_deleted_and_exported(
    shelf: Shelf, make_receipt: MakeReceipt
) -> None:
    """Also long after the moment: they are the user's data, and a verification would make a post of them again."""
    moment = await shelf.moments.create("eu", FIRES_MS, 120)
    lost = make_receipt(moment_id=moment.id, attempt=FIRST)
    await shelf.existence.put_media(*rendered(lost))
    late = users(shelf, FIRES_MS + 100 * OPEN_MS)

    (received,) = [one async for one in late.everything("ann")]
    assert (received.post_id, sorted(received.entries)) == (lost.id, ["shown/front-thumb.jpg", "shown/post.json"])

    erasure = await late.erase("ann", GONE, "")
    objects = [keys.intake(moment.id, lost.id), keys.media(moment.id, lost.id)]
    assert erasure.deleted == [Erased(post_id=lost.id, moment_id=moment.id, held="renditions", objects=objects, jobs=0)]
    assert await shown(shelf.store, lost) is None
    assert await shelf.existence.restore(lost) is False
    assert [one async for one in late.everything("ann")] == []


async def test_what_redis_has_of_a_lost_pair_is_deleted(shelf: Shelf, make_receipt: MakeReceipt) -> None:
    """Of one post and of all of a user, also long after the moment: a record has the user's id."""
    moment = await shelf.moments.create("eu", FIRES_MS, 120)
    for user, erases in (("ann", True), ("ben", False)):
        lost = make_receipt(user, moment_id=moment.id, attempt=FIRST)
        await shelf.index.observe([accepted(lost)])

        if erases:
            erasure = await users(shelf, FIRES_MS + 100 * OPEN_MS).erase(user, GONE, "")
            assert [(one.post_id, one.held, one.objects) for one in erasure.deleted] == [(lost.id, "index entry", [])]
        else:
            await shelf.posts.delete(lost.id, GONE)

        assert await shelf.index.posts([lost.id]) == [None]
        with pytest.raises(NoSuchPost):
            await shelf.posts.get(lost.id)
        with pytest.raises(NoSuchPost):
            await shelf.posts.delete(lost.id, SECOND)
