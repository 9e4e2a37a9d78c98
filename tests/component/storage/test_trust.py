"""A Redis that lacks a deletion shows no deleted post: after a failover, and after it was restored from an old copy."""

from collections.abc import AsyncIterator, Callable
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from processors.sweeper import Sweeper
from storage.config import Config
from storage.files import FileStore
from storage.index import Counts, Index, Report
from storage.opening import redis_client
from storage.posts import NoSuchPost
from storage.records import Moment, Receipt, accepted, flagged
from tests.component.storage.conftest import Shelf
from tests.component.storage.test_posts import NOW_MS, render
from tests.fake_sentinel import FakeSentinel, address
from tests.lost_deletions import Losing, Servers, losing
from tests.reports import observed

MakeReceipt = Callable[..., Receipt]
GONE = "b1".ljust(32, "0")  # after attempt `a1`
HOUR_S = 3600


@pytest.fixture(params=["failover", "restored"])
async def lossy(request: pytest.FixtureRequest, redis_server: Servers) -> AsyncIterator[Losing]:
    """A Redis that is about to lose something, in each of both ways."""
    async with losing(redis_server, request.param) as made:
        yield made


@pytest.fixture
def before(files: FileStore, lossy: Losing) -> Shelf:
    """What a program sees before the loss."""
    return Shelf(files, lossy.primary)


@pytest.fixture
async def moment(before: Shelf) -> Moment:
    """A moment that just fired."""
    return await before.moments.create("eu", NOW_MS, 120)


async def swept(shelf: Shelf, passes: int, now_s: float) -> None:
    """Sweep the whole store so many times."""
    sweeper = Sweeper(shelf.store, shelf.redis, every_s=1)
    for number in range(passes):
        for _ in range(16):
            await sweeper.step(now_s + 2 * number + 1)


@pytest.mark.parametrize("state", ["accepted", "ready"])
async def test_who_lacks_a_deletion_shows_no_deleted_post(
    before: Shelf, lossy: Losing, moment: Moment, make_receipt: MakeReceipt, state: str
) -> None:
    """Not for an instant, though nobody sweeps; the others are shown, from the store."""
    receipts = [make_receipt(user=user, moment_id=moment.id, attempt="a1") for user in ("ann", "bob")]
    for receipt in receipts:
        post = await before.accept(receipt)
        if state == "ready":
            await render(before, post, receipt)
    ann, bob = [one.id for one in receipts]
    await lossy.cut()
    await before.posts.delete(ann, GONE)

    after = before.again(await lossy.successor())
    assert [post and post.id for post in await after.index.posts([ann, bob])] == [ann, bob]  # it lacks the deletion
    with pytest.raises(NoSuchPost):
        await after.posts.get(ann)
    with pytest.raises(NoSuchPost):
        await after.posts.finished(ann)
    assert (await after.posts.get(bob)).state == state
    assert [post.id for post in (await after.posts.page(moment.id, None, 10))[0]] == [bob]
    assert (await after.posts.counts(moment.id)).accepted == 1
    # The summary began a recount, which does not make the old entry good.
    with pytest.raises(NoSuchPost):
        await after.posts.get(ann)


async def test_what_the_store_has_is_shown_from_redis_again_after_a_sweep(
    before: Shelf, lossy: Losing, moment: Moment, make_receipt: MakeReceipt
) -> None:
    """Entries of posts that were deleted are gone by then, and those of posts that were replaced are replaced."""
    ann, bob, eve = [make_receipt(user=user, moment_id=moment.id, attempt="a1") for user in ("ann", "bob", "eve")]
    for receipt in (ann, bob, eve):
        await render(before, await before.accept(receipt), receipt)
    await lossy.cut()
    for receipt in (ann, bob):
        await before.posts.delete(receipt.id, GONE)
    again = make_receipt(user="bob", moment_id=moment.id, attempt="c1")
    assert await before.existence.commit(again, b"other", b"photos")
    await observed(before.index, [accepted(again)])

    after = before.again(await lossy.successor())
    assert (await after.posts.get(bob.id)).attempt == again.attempt
    await swept(after, 1, NOW_MS / 1000)
    with pytest.raises(NoSuchPost):
        await after.posts.get(ann.id)
    assert (await after.posts.get(bob.id)).attempt == again.attempt
    await swept(after, 2, NOW_MS / 1000 + 10)
    found = await after.index.trusted([ann.id, bob.id, eve.id])
    assert [post and post.attempt for post in found] == [None, again.attempt, eve.attempt]


async def test_a_late_report_does_not_make_an_old_entry_good(
    before: Shelf, lossy: Losing, moment: Moment, make_receipt: MakeReceipt
) -> None:
    """Of a worker that began before the deletion, after a recount began: Redis asks for a proof."""
    receipt = make_receipt(moment_id=moment.id, attempt="a1")
    post = await before.accept(receipt)
    proof = await before.index.proof()
    await lossy.cut()
    await before.posts.delete(post.id, GONE)

    after = before.again(await lossy.successor())
    generation = await after.index.recount(moment.id)
    done = flagged(post, receipt.late_by_ms)
    assert await after.index.observe([Report(done)]) == ["unproven"]
    assert await after.index.observe([Report(done, proof)]) == ["unproven"]
    await after.index.counts_are_complete(moment.id, generation)
    assert await after.index.counts(moment.id) == Counts()
    with pytest.raises(NoSuchPost):
        await after.posts.get(post.id)


async def test_a_post_whose_tombstone_has_gone_is_not_shown(
    before: Shelf, lossy: Losing, make_receipt: MakeReceipt
) -> None:
    """The moment is swept no more, so nobody tells Redis of the deletion: its entry is not believed, ever."""
    moment = await before.moments.create("eu", NOW_MS - 60 * HOUR_S * 1000, 120)
    receipt = make_receipt(moment_id=moment.id, attempt="a1")
    await render(before, await before.accept(receipt), receipt)
    await lossy.cut()
    await before.posts.delete(receipt.id, GONE)
    await before.existence.clear(moment.id, receipt.id)

    after = before.again(await lossy.successor())
    await swept(after, 3, NOW_MS / 1000)
    with pytest.raises(NoSuchPost):
        await after.posts.get(receipt.id)


async def test_without_a_loss_records_come_from_redis(before: Shelf, moment: Moment, make_receipt: MakeReceipt) -> None:
    """Of a moment that was never counted again, while it is, and after it: no request to the store."""
    receipt = make_receipt(moment_id=moment.id, attempt="a1")
    post = await before.accept(receipt)
    assert await before.index.trusted([post.id]) == [post]
    await swept(before, 2, NOW_MS / 1000)
    assert await before.index.trusted([post.id]) == [post]
    generation = await before.index.recount(moment.id)
    await observed(before.index, [post])
    assert await before.index.trusted([post.id]) == [post]
    await before.index.counts_are_complete(moment.id, generation)
    assert await before.index.trusted([post.id]) == [post]


async def test_a_replica_is_not_believed(before: Shelf, redis_server: Servers, make_receipt: MakeReceipt) -> None:
    """It may be behind, and has the marks of its primary."""
    async with losing(redis_server, "failover") as made:
        shelf = Shelf(before.store, made.primary)
        moment = await shelf.moments.create("eu", NOW_MS, 120)
        post = await shelf.accept(make_receipt(moment_id=moment.id))
        await made.cut()
        assert made.replica is not None
        assert await Index(made.replica).posts([post.id]) == [post]
        assert await Index(made.replica).trusted([post.id]) == [None]


async def test_a_deletion_that_no_majority_of_sentinels_confirms_is_not_answered(
    files: FileStore, redis: Redis, redis_url: str, make_receipt: MakeReceipt
) -> None:
    """Another server may be the primary by now, and show the post. The next try finds nothing more to delete."""
    port = urlsplit(redis_url).port or 0
    async with FakeSentinel(port) as one, FakeSentinel(port) as two, FakeSentinel(port) as three:
        client = redis_client(Config(redis_url=address(one, two, three)))
        shelf = Shelf(files, client)
        moment = await shelf.moments.create("eu", NOW_MS, 120)
        post = await shelf.accept(make_receipt(moment_id=moment.id, attempt="a1"))
        client.connection_pool._sentinels._changed_s = float("-inf")  # redis-py's pool has no public way to it
        two.mute = three.mute = True
        for _ in range(2):
            with pytest.raises(RedisError, match="did not confirm"):
                await shelf.posts.delete(post.id, GONE)
            with pytest.raises(NoSuchPost):
                await shelf.posts.get(post.id)
        two.mute = False
        with pytest.raises(NoSuchPost):
            await shelf.posts.delete(post.id, GONE)
        await client.aclose()
