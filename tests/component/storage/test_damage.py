"""What cannot be read, in the store or in Redis, hides nothing else: it is passed over, and the log names it."""

from collections.abc import Callable
from typing import Any

import pytest

from storage import keys, zips
from storage.index import Counts
from storage.moments import DamagedMoment
from storage.posts import NoSuchPost
from storage.records import Moment, Receipt
from tests.stores import put

NOW_MS = 1_769_860_800_000
RUBBISH = [b"", b"\xff", b"{}", b"[" * 100_000]
# No archive, one of something else, and one with a text that is none.
OBJECTS = [b"", b"no zip", b"".join(zips.pack({"receipt.json": b"{}", "post.json": b'{"id":"\xff"}'}))]
MakeReceipt = Callable[..., Receipt]


@pytest.fixture
async def moment(shelf: Any) -> Moment:
    """A moment that just fired."""
    return await shelf.moments.create("eu", NOW_MS, 120)


@pytest.mark.parametrize("rubbish", OBJECTS)
async def test_an_object_that_cannot_be_read_hides_no_other(
    rubbish: bytes, shelf: Any, moment: Moment, make_receipt: MakeReceipt, caplog: pytest.LogCaptureFixture
) -> None:
    """A page, a count and a search pass over it, and say so; objects of other names are not looked at."""
    posts = [await shelf.accept(make_receipt(user=user, moment_id=moment.id)) for user in ("ann", "bob", "cid")]
    damaged, lost, fine = sorted(posts, key=lambda post: keys.intake(moment.id, post.id))
    await put(shelf.store, keys.media(moment.id, damaged.id), rubbish)
    await put(shelf.store, keys.intake(moment.id, lost.id), rubbish)
    await shelf.store.create(keys.intake_prefix("a7", moment.id) + "README.txt", b"by hand")
    await shelf.redis.flushall()

    anew = shelf.again().posts
    assert await anew.page(moment.id, None, 10) == ([damaged, fine], None)
    assert await anew.counts(moment.id) == Counts(accepted=2, pending=2)
    assert await anew.get(damaged.id) == damaged
    with pytest.raises(NoSuchPost):
        await shelf.again().posts.get(lost.id)
    for key in (keys.media(moment.id, damaged.id), keys.intake(moment.id, lost.id)):
        assert f"{key} is damaged" in caplog.text


async def test_an_entry_that_cannot_be_read_is_none(shelf: Any, moment: Moment, make_receipt: MakeReceipt) -> None:
    """Rubbish in Redis: the store is asked, of posts and of moments."""
    post = await shelf.accept(make_receipt(moment_id=moment.id))
    for rubbish in RUBBISH:
        await shelf.redis.hset(f"snapsurge:post:{post.id}", "j", rubbish)
        await shelf.redis.set(f"snapsurge:moment:{moment.id}", rubbish)
        anew = shelf.again()
        assert await anew.posts.get(post.id) == post
        assert await anew.moments.get(moment.id) == moment


@pytest.mark.parametrize("rubbish", RUBBISH)
async def test_a_moment_that_cannot_be_read_hides_no_other(
    rubbish: bytes, shelf: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Asked for, it is our fault, not a missing one; objects that are named otherwise are not looked at."""
    good, bad = [await shelf.moments.create("eu", NOW_MS + n, 120) for n in range(2)]
    await put(shelf.store, keys.moment(bad.id), rubbish)
    for name in ("README", "eu-20260131", "a-b-c d"):
        await shelf.store.create(f"{keys.MOMENTS_PREFIX}{name}.json", b"by hand")
    await shelf.redis.flushall()

    for _ in range(2):  # by the store, then by Redis
        anew = shelf.again().moments
        assert await anew.since(0) == [good]
        with pytest.raises(DamagedMoment):
            await anew.get(bad.id)
    assert await shelf.redis.exists("snapsurge:moments-listed")
    assert f"{keys.moment(bad.id)} is damaged" in caplog.text


async def test_a_moment_that_redis_names_and_nobody_has_hides_no_other(shelf: Any) -> None:
    """Its object was removed by hand."""
    good, gone = [await shelf.moments.create("eu", NOW_MS + n, 120) for n in range(2)]
    await shelf.again().moments.since(0)
    await shelf.store.delete(keys.moment(gone.id))
    await shelf.redis.delete(f"snapsurge:moment:{gone.id}")

    assert await shelf.again().moments.since(0) == [good]
