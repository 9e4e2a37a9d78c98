"""Posts over real files and a real Redis: found, listed, counted and deleted, whatever Redis still knows."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from storage import keys, media
from storage.blobs import StoreUnavailable
from storage.files import FileStore
from storage.index import Counts, Index, Observed, Report
from storage.posts import NoSuchPost, Posts
from storage.records import Moment, Post, Receipt, flagged
from storage.tombstones import SIZE
from tests.reports import observed

NOW_MS = 1_769_860_800_000
GONE, GONE_AGAIN = (f"b{number}".ljust(32, "0") for number in (1, 2))  # after attempts `a1` and `a2`
COMPOSITE = b"composite" * 100  # longer than what a deletion leaves
MakeReceipt = Callable[..., Receipt]


async def render(shelf: Any, post: Post, receipt: Receipt, *, state: str = "ready", tell: bool = True) -> Post:
    """Finish a post as a worker does: one media object, then the index."""
    done = flagged(msgspec.structs.replace(post, state=state), receipt.late_by_ms)
    images = {"front-thumb": media.Image(b"thumb", 1, 1), "composite": media.Image(COMPOSITE, 2, 2)}
    record, body = media.pack(done, images if state == "ready" else {})
    assert await shelf.existence.put_media(record, body) == record
    if tell:
        await observed(shelf.index, [record])
    return record


async def accept_many(shelf: Any, make_receipt: MakeReceipt, moment: Moment, count: int) -> list[Post]:
    """That many accepted posts of one moment, in the order of their keys."""
    receipts = [make_receipt(user=f"user{number}", moment_id=moment.id) for number in range(count)]
    posts = await asyncio.gather(*(shelf.accept(receipt) for receipt in receipts))
    return sorted(posts, key=lambda post: keys.intake(moment.id, post.id))


class FailingOnce(Index):
    """An index whose Redis is away for the first telling."""

    failed = False

    async def observe(self, reports: Sequence[Report]) -> list[Observed]:
        """As the index, but for the first time."""
        if not self.failed:
            self.failed = True
            raise RedisError("away for a moment")
        return await super().observe(reports)


@pytest.fixture
async def moment(shelf: Any) -> Moment:
    """A moment that just fired."""
    return await shelf.moments.create("eu", NOW_MS, 120)


async def test_a_post_is_found_by_the_index(shelf: Any, moment: Moment, make_receipt: MakeReceipt) -> None:
    """With its state as last told, and no request to the store."""
    receipt = make_receipt(moment_id=moment.id)
    post = await shelf.accept(receipt)
    assert await shelf.posts.get(post.id) == post

    record = await render(shelf, post, receipt)
    shelf.store.root.rename(shelf.store.root.with_name("elsewhere"))
    assert await shelf.posts.get(post.id) == record


@pytest.mark.parametrize("state", ["accepted", "ready", "rejected"])
async def test_a_post_is_found_by_id_alone(state: str, shelf: Any, moment: Moment, make_receipt: MakeReceipt) -> None:
    """Redis was emptied: the id says in which moment it is, and the store what became of it."""
    receipt = make_receipt(moment_id=moment.id)
    expected = post = await shelf.accept(receipt)
    if state != "accepted":
        expected = await render(shelf, post, receipt, state=state)
    await shelf.redis.flushall()

    assert await shelf.again().posts.get(post.id) == expected


async def test_everything_is_found_without_redis(
    shelf: Any, moment: Moment, make_receipt: MakeReceipt, redis_away: Redis
) -> None:
    """Get, page and counts by the store alone."""
    receipt = make_receipt(moment_id=moment.id)
    record = await render(shelf, await shelf.accept(receipt), receipt)
    alone = shelf.again(redis_away).posts

    assert await alone.get(record.id) == record
    assert await alone.page(moment.id, None, 10) == ([record], None)
    assert await alone.counts(moment.id) == Counts(accepted=1, ready=1, on_time=1)
    with pytest.raises(RedisError):  # which may have it still
        await alone.delete(record.id, GONE)
    with pytest.raises(NoSuchPost):
        await alone.get(record.id)


@pytest.mark.parametrize("post_id", ["", "x", "a" * 26, "a" * 26 + "-eu", "../../../../../etc/passwd"])
async def test_no_such_post(post_id: str, shelf: Any, moment: Moment) -> None:
    """Nobody posted, or it is no id at all."""
    with pytest.raises(NoSuchPost):
        await shelf.posts.get(post_id)
    with pytest.raises(NoSuchPost):
        await shelf.posts.delete(post_id, GONE)


async def test_a_media_object_of_an_earlier_post_does_not_count(
    shelf: Any, moment: Moment, make_receipt: MakeReceipt
) -> None:
    """Deleted and posted again while a render was under way: the old renditions are not the new post's."""
    first = make_receipt(moment_id=moment.id, attempt="a1")
    await render(shelf, await shelf.accept(first), first)
    await shelf.store.delete(keys.intake(moment.id, first.id))
    second = await shelf.accept(make_receipt(moment_id=moment.id, attempt="a2"), tell=False)

    assert await shelf.posts.stored(moment.id, second.id) == second


async def test_renditions_alone_are_no_post(shelf: Any, moment: Moment, make_receipt: MakeReceipt) -> None:
    """A media object whose intake is gone belongs to a deleted post."""
    receipt = make_receipt(moment_id=moment.id)
    await render(shelf, await shelf.accept(receipt), receipt)
    await shelf.store.delete(keys.intake(moment.id, receipt.id))

    with pytest.raises(NoSuchPost):
        await shelf.posts.stored(moment.id, receipt.id)


@pytest.mark.parametrize("limit", [1, 7, 49, 50, 100])
async def test_pages_walk_everything_once(limit: int, shelf: Any, moment: Moment, make_receipt: MakeReceipt) -> None:
    """Fifty posts by pages of any size: each once, in order, and the last page says that it is the last."""
    posts = await accept_many(shelf, make_receipt, moment, 50)
    seen: list[Post] = []
    cursor, pages = None, 0
    while cursor or not pages:
        page, cursor = await shelf.posts.page(moment.id, cursor, limit)
        seen += page
        pages += 1
        assert len(page) <= limit

    assert seen == posts
    assert pages == -(-50 // limit)


async def test_a_page_is_the_same_by_index_and_store(shelf: Any, moment: Moment, make_receipt: MakeReceipt) -> None:
    """Redis knows all, some, none."""
    posts = await accept_many(shelf, make_receipt, moment, 20)
    by_index = await shelf.posts.page(moment.id, None, 15)
    await shelf.redis.delete(*(f"snapsurge:post:{post.id}" for post in posts[::2]))
    by_both = await shelf.posts.page(moment.id, None, 15)
    await shelf.redis.flushall()

    assert by_index == by_both == await shelf.posts.page(moment.id, None, 15) == (posts[:15], posts[14].id)


async def test_a_cursor_is_one_that_a_page_gave(shelf: Any, moment: Moment) -> None:
    """Anything else is a ValueError, the client's fault; an empty moment has an empty page."""
    with pytest.raises(ValueError, match="earlier page"):
        await shelf.posts.page(moment.id, "../x", 10)
    assert await shelf.posts.page(moment.id, None, 10) == ([], None)


async def test_counts_are_rebuilt_after_redis_was_emptied(
    shelf: Any, moment: Moment, make_receipt: MakeReceipt
) -> None:
    """Exact from the store, at once and from then on; what happens later counts on."""
    receipts = [make_receipt(user=f"u{n}", moment_id=moment.id, late_by_ms=n % 2) for n in range(40)]
    posts = [await shelf.accept(receipt) for receipt in receipts]
    for number in range(30):
        state = "ready" if number < 20 else "rejected"
        await render(shelf, posts[number], receipts[number], state=state)
    expected = Counts(accepted=40, ready=20, rejected=10, on_time=15, late=15, pending=10)
    assert await shelf.posts.counts(moment.id) == expected

    await shelf.redis.flushall()
    assert await asyncio.gather(*(shelf.again().posts.counts(moment.id) for _ in range(3))) == [expected] * 3
    assert await shelf.index.counts(moment.id) == expected
    await render(shelf, posts[39], receipts[39])
    await shelf.posts.delete(posts[0].id, GONE)
    now = await shelf.posts.counts(moment.id)
    assert (now.accepted, now.ready, now.pending, now.late) == (39, 20, 9, 16)


async def test_counts_that_redis_missed_a_part_of_are_not_complete(
    shelf: Any, moment: Moment, make_receipt: MakeReceipt
) -> None:
    """Redis fails for a moment during the recount: right numbers for the caller, and no wrong ones for the next."""
    await accept_many(shelf, make_receipt, moment, 5)
    await shelf.redis.flushall()
    again = shelf.again()
    again.posts = Posts(shelf.store, FailingOnce(shelf.redis))
    assert await again.posts.counts(moment.id) == Counts(accepted=5, pending=5)
    assert await shelf.index.counts(moment.id) is None
    assert await again.posts.counts(moment.id) == Counts(accepted=5, pending=5)
    assert await shelf.index.counts(moment.id) == Counts(accepted=5, pending=5)


async def test_a_deleted_post_leaves_nothing(shelf: Any, moment: Moment, make_receipt: MakeReceipt) -> None:
    """No picture, no entry, no count; a second deletion finds no post."""
    receipt = make_receipt(moment_id=moment.id)
    post = await render(shelf, await shelf.accept(receipt), receipt)
    await shelf.posts.finished(post.id)
    await shelf.posts.delete(post.id, GONE)
    with pytest.raises(NoSuchPost):
        await shelf.posts.delete(post.id, GONE_AGAIN)

    assert all([entry.size == SIZE async for entry in shelf.store.list(f"{keys.spread(post.id)}/")])
    for call in (shelf.posts.get, shelf.posts.finished, shelf.again().posts.get):
        with pytest.raises(NoSuchPost):
            await call(post.id)
    assert await shelf.posts.counts(moment.id) == Counts()
    assert await shelf.posts.page(moment.id, None, 10) == ([], None)


async def test_renditions_are_read_in_parts(shelf: Any, moment: Moment, make_receipt: MakeReceipt) -> None:
    """All of it or a range of it, by the record; when the object is gone the cached record goes too."""
    receipt = make_receipt(moment_id=moment.id)
    await render(shelf, await shelf.accept(receipt), receipt)
    post = await shelf.posts.finished(receipt.id)
    place = post.renditions["composite"]

    assert await shelf.posts.rendition(post, place, 0, place.bytes) == COMPOSITE
    assert await shelf.posts.rendition(post, place, 2, 4) == b"mpos"
    await shelf.again().posts.delete(post.id, GONE)
    assert await shelf.posts.finished(receipt.id) == post
    with pytest.raises(NoSuchPost):
        await shelf.posts.rendition(post, place, 0, place.bytes)
    with pytest.raises(NoSuchPost):
        await shelf.posts.finished(receipt.id)


async def test_a_post_that_waits_is_not_kept(shelf: Any, moment: Moment, make_receipt: MakeReceipt) -> None:
    """`finished` answers for an accepted post, and sees it ready the next time."""
    receipt = make_receipt(moment_id=moment.id)
    post = await shelf.accept(receipt)
    assert await shelf.posts.finished(post.id) == post
    record = await render(shelf, post, receipt)

    assert await shelf.posts.finished(post.id) == record


async def test_a_store_that_is_away_is_unavailable(tmp_path: Path, shelf: Any, redis_away: Redis) -> None:
    """Not a missing post: our fault."""
    async with FileStore(tmp_path / "other") as store:
        shelf.store = store
        posts = shelf.again(redis_away).posts
        store.root.rename(tmp_path / "elsewhere")
        for call in (posts.get("a" * 26 + "-eu-1"), posts.page("eu-1", None, 1), posts.counts("eu-1")):
            with pytest.raises(StoreUnavailable):
                await call
