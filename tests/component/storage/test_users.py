"""All posts of a user by moments: deleted on every kind of store, with what may still be on its way."""

import itertools
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis
from redis.exceptions import TimeoutError as RedisTimeoutError

from storage import keys
from storage.blobs import Blob, BlobStore
from storage.existence import NoSuchPost, Superseded
from storage.moments import DAY_MS
from storage.queue.jobs import jobs_of
from storage.queue.shards import Shards
from storage.records import OPEN_MS, Moment, Receipt, accepted, to_ms
from storage.users import CALL_S, CLOCKS_MS, WIDTH, Changed, Erased, Kept, Users
from tests.component.storage.conftest import Shelf
from tests.component.storage.test_existence import rendered, shown
from tests.reports import observed

MakeReceipt = Callable[..., Receipt]
FIRES_MS = to_ms("2026-01-31T12:00:00.000Z")
FIRST, GONE, SECOND = (f"{number}".ljust(32, "0") for number in range(1, 4))  # in this order


def users(shelf: Shelf, now_ms: int, monotonic: Callable[[], float] = time.monotonic) -> Users:
    """The users of a shelf at this time."""
    queue, clock = Shards({"": shelf.redis}), lambda: now_ms / 1000
    return Users(shelf.store, shelf.index, shelf.moments, shelf.posts, queue, clock=clock, monotonic=monotonic)


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

    assert [one async for one in late.present("ann")] == [[moment.id]]
    assert await late.contents(keys.intake(moment.id, lost.id)) is None
    shows = await late.contents(keys.media(moment.id, lost.id))
    assert shows is not None
    assert [one.name for one in shows.files or ()] == ["front-thumb.jpg", "post.json"]

    erasure = await late.erase("ann", GONE, "")
    objects = [keys.intake(moment.id, lost.id), keys.media(moment.id, lost.id)]
    assert erasure.deleted == [Erased(post_id=lost.id, moment_id=moment.id, held="renditions", objects=objects, jobs=0)]
    assert await shown(shelf.store, lost) is None
    assert await shelf.existence.restore(lost) is False
    assert [one async for one in late.present("ann")] == [[]]


async def test_an_object_is_read_in_pieces_of_one_version(
    store: BlobStore, redis: Redis, make_receipt: MakeReceipt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Together they are its files; once it is deleted there are no more, and nothing of its tombstone is told."""
    monkeypatch.setattr("storage.users.PIECE_BYTES", 100)
    shelf = Shelf(store, redis)
    moment = await shelf.moments.create("eu", FIRES_MS, 120)
    receipt = make_receipt("ann", moment_id=moment.id, attempt=FIRST)
    await shelf.existence.commit(receipt, b"f" * 150, b"back")
    reader, key = users(shelf, FIRES_MS), keys.intake(moment.id, receipt.id)

    contents = await reader.contents(key)
    assert contents is not None
    assert contents.files is not None
    pieces = [await reader.piece(contents, start) for start in range(0, contents.end, 100)]
    assert {len(piece) for piece in pieces[:-1]} == {100}
    front = contents.files[0]
    assert b"".join(pieces)[front.offset : front.end] == b"f" * 150

    await shelf.existence.end(moment.id, receipt.id, GONE)
    with pytest.raises(Changed):
        await reader.piece(contents, 100)
    gone = await reader.contents(key)
    assert gone is not None
    assert (gone.files, gone.end) == ([], 0)


async def test_what_redis_has_of_a_lost_pair_is_deleted(shelf: Shelf, make_receipt: MakeReceipt) -> None:
    """Of one post and of all of a user, also long after the moment: a record has the user's id."""
    moment = await shelf.moments.create("eu", FIRES_MS, 120)
    for user, erases in (("ann", True), ("ben", False)):
        lost = make_receipt(user, moment_id=moment.id, attempt=FIRST)
        await observed(shelf.index, [accepted(lost)])

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


async def test_a_deletion_that_redis_breaks_off_keeps_its_progress(
    shelf: Shelf, make_receipt: MakeReceipt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The receipt tells what was done and where to go on; one that fails at once is an error."""
    monkeypatch.setattr("storage.users.WIDTH", 2)
    moments = sorted([(await shelf.moments.create("eu", FIRES_MS, 120)).id for _ in range(5)])
    for moment in moments:
        await shelf.accept(make_receipt(moment_id=moment, attempt=FIRST))
    erasing = users(shelf, FIRES_MS + 1000)
    forget, left = shelf.index.forget, [2]

    async def forgets(post_id: str, moment_id: str, deletion: str) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise RedisTimeoutError
        await forget(post_id, moment_id, deletion)

    monkeypatch.setattr(shelf.index, "forget", forgets)
    first = await erasing.erase("ann", GONE, "")
    assert ([one.moment_id for one in first.deleted], first.moments, first.next) == (moments[:2], 2, moments[1])
    with pytest.raises(RedisTimeoutError):
        await erasing.erase("ann", GONE, moments[1])

    left[0] = 9
    second = await erasing.erase("ann", GONE, moments[1])
    assert ([one.moment_id for one in second.deleted], second.next) == (moments[2:], None)


async def test_a_call_ends_after_so_many_seconds(shelf: Shelf, make_receipt: MakeReceipt) -> None:
    """Lists and deletions say where to go on, and going on finds all."""
    moments = sorted([(await shelf.moments.create("eu", FIRES_MS, 120)).id for _ in range(2 * WIDTH + 1)])
    for moment in moments:
        await shelf.accept(make_receipt(moment_id=moment, attempt=FIRST))
    seconds = itertools.count(0, CALL_S)
    slow = users(shelf, FIRES_MS + 1000, lambda: float(next(seconds)))

    listed, after = await slow.page("ann", "", 100)
    assert (len(listed), after) == (WIDTH, moments[WIDTH - 1])
    erasure = await slow.erase("ann", GONE, "")
    assert (len(erasure.deleted), erasure.next) == (WIDTH, moments[WIDTH - 1])
    rest, cursor = 0, erasure.next
    while cursor:
        more = await slow.erase("ann", GONE, cursor)
        rest, cursor = rest + len(more.deleted), more.next
    assert rest == WIDTH + 1


async def test_a_list_reads_old_moments_without_a_post_once(shelf: Shelf, make_receipt: MakeReceipt) -> None:
    """Moments that may take posts are read each time; what was posted there is found."""
    now_ms = FIRES_MS + OPEN_MS + 4 * DAY_MS
    old, posted = [(await shelf.moments.create("eu", FIRES_MS, 120)).id for _ in range(2)]
    new = (await shelf.moments.create("eu", now_ms, 120)).id
    await shelf.accept(make_receipt(moment_id=posted, attempt=FIRST))
    listing, reads = users(shelf, now_ms), list[str]()
    read_tail = shelf.store.read_tail

    async def reads_tail(key: str, size: int) -> Blob:
        reads.append(key.split("/")[2])
        return await read_tail(key, size)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shelf.store, "read_tail", reads_tail)
        assert [one.moment_id for one in (await listing.page("ann", "", 10))[0]] == [posted]
        assert set(reads) == {old, posted, new}
        reads.clear()
        await shelf.accept(make_receipt(moment_id=new, attempt=FIRST))
        assert {one.moment_id for one in (await listing.page("ann", "", 10))[0]} == {posted, new}
        assert set(reads) == {posted, new}


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_five_thousand_moments_are_listed_and_deleted(shelf: Shelf, make_receipt: MakeReceipt) -> None:
    """By calls of bounded work, also right after the node listed all moments; no call of a script has more than 100."""
    moments = [
        Moment(id=f"eu-20260131-m{number:04}", region="eu", fires_at="2026-01-31T12:00:00.000Z",
               closes_at="2026-01-31T12:02:00.000Z", window_s=120)
        for number in range(5000)
    ]  # fmt: skip
    for one in moments:
        await shelf.store.create(keys.moment(one.id), msgspec.json.encode(one))
    theirs = [one.id for one in moments[::1000]]
    for moment in theirs:
        await shelf.accept(make_receipt(moment_id=moment, attempt=FIRST))
    assert len(await shelf.again().moments.since(0)) == 5000
    later = users(shelf, FIRES_MS + 100 * OPEN_MS)

    listed, erased = list[str](), list[str]()
    after: str | None = ""
    while after is not None:
        posts, after = await later.page("ann", after, 100)
        listed += [one.moment_id for one in posts]
    assert listed == theirs
    after = ""
    while after is not None:
        erasure = await later.erase("ann", GONE, after)
        erased, after = erased + [one.moment_id for one in erasure.deleted], erasure.next
    assert erased == theirs
