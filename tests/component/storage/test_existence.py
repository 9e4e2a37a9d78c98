"""Posts come and go by compare-and-swap, on real files and a real MinIO, whatever comes late, twice or breaks off."""

from collections.abc import Callable

import msgspec
import pytest

from storage import intake, keys, media
from storage.blobs import BlobExists, BlobStore
from storage.existence import Existence, NoSuchPost, Standing, Superseded
from storage.records import Photos, Post, Receipt, accepted
from storage.tombstones import Tombstone, tombstone_in
from storage.zips import Damaged
from tests.stores import put, taken

MakeReceipt = Callable[..., Receipt]
FIRST, GONE, SECOND, GONE_AGAIN, THIRD = (f"{number}".ljust(32, "0") for number in range(1, 6))  # in this order


@pytest.fixture
def existence(store: BlobStore) -> Existence:
    """Of an empty store."""
    return Existence(store)


async def commit(existence: Existence, receipt: Receipt) -> Receipt:
    """Post a pair."""
    return await existence.commit(receipt, b"front", receipt.attempt.encode())


def rendered(receipt: Receipt, *, complete: bool = True) -> tuple[Post, bytes]:
    """What a worker makes of it."""
    post = msgspec.structs.replace(accepted(receipt), state="ready", complete=complete)
    return media.pack(post, {"front-thumb": media.Image(receipt.attempt.encode() * 30, 1, 1)})


async def shown(store: BlobStore, receipt: Receipt) -> str | None:
    """Whose renditions are shown; None where none are."""
    key = keys.media(receipt.moment_id, receipt.id)
    if not await taken(store, key):
        return None
    tail = (await store.read_tail(key, 8192)).body
    return None if tombstone_in(tail) else media.record_in(tail).attempt


async def test_of_two_pairs_the_first_stays(existence: Existence, make_receipt: MakeReceipt) -> None:
    """The second learns whose receipt is there; the same attempt sent again learns that it is its own."""
    first = make_receipt(attempt=FIRST)
    photo = msgspec.structs.replace(first.photos.front, sha256="f" * 64)
    other = msgspec.structs.replace(make_receipt(attempt=SECOND), photos=Photos(front=photo, back=photo))

    assert await commit(existence, first) is first
    assert await commit(existence, other) == first
    assert await commit(existence, first) == first
    assert (await existence.look(first.moment_id, first.id)).receipt == first


async def test_a_pair_acknowledged_again_outlives_a_deletion_sent_before(
    existence: Existence, store: BlobStore, make_receipt: MakeReceipt
) -> None:
    """The deletion stood still on its way; the renditions stay too. A deletion sent afterwards ends the pair."""
    first = make_receipt(attempt=FIRST)
    await commit(existence, first)
    await existence.put_media(*rendered(first))

    again = await commit(existence, make_receipt(attempt=SECOND))
    assert again == msgspec.structs.replace(first, renewed=SECOND)
    assert await commit(existence, make_receipt(attempt=FIRST + "0")) == again  # older: it renews nothing
    with pytest.raises(Superseded):
        await existence.end(first.moment_id, first.id, GONE)
    assert await shown(store, first) == FIRST
    assert intake.unpack(await store.read(keys.intake(first.moment_id, first.id))).receipt == again

    await existence.end(first.moment_id, first.id, GONE_AGAIN)
    assert await shown(store, first) is None


async def test_deleted_and_posted_again(existence: Existence, store: BlobStore, make_receipt: MakeReceipt) -> None:
    """Nothing is shown in between, and then the second pair alone."""
    first, second = make_receipt(attempt=FIRST), make_receipt(attempt=SECOND)
    await commit(existence, first)
    assert await existence.put_media(*rendered(first)) is not None
    await existence.end(first.moment_id, first.id, GONE)

    there = await existence.look(first.moment_id, first.id)
    assert (there.receipt, there.tombstone, await shown(store, first)) == (None, Tombstone(GONE), None)
    assert await commit(existence, second) is second
    assert await shown(store, second) is None
    assert await existence.put_media(*rendered(second)) is not None
    assert await shown(store, second) == SECOND


@pytest.mark.parametrize("rendered_before", [False, True])
async def test_what_is_late_of_an_earlier_attempt_changes_nothing(
    existence: Existence, store: BlobStore, make_receipt: MakeReceipt, *, rendered_before: bool
) -> None:
    """Deleted, then also posted again: its commit, its deletion and its renditions all come once more, in vain."""
    first, second = make_receipt(attempt=FIRST), make_receipt(attempt=SECOND)
    await commit(existence, first)
    if rendered_before:
        await existence.put_media(*rendered(first))
    await existence.end(first.moment_id, first.id, GONE)
    with pytest.raises(Superseded):
        await commit(existence, first)
    assert await existence.put_media(*rendered(first)) is None
    with pytest.raises(BlobExists):
        await store.create(keys.media(first.moment_id, first.id), rendered(first)[1])
    assert await shown(store, first) is None

    await commit(existence, second)
    with pytest.raises(Superseded):
        await existence.end(first.moment_id, first.id, GONE)
    assert await commit(existence, first) == second
    assert await existence.put_media(*rendered(first)) is None
    assert not await existence.fence(first.moment_id, first.id)
    assert (await existence.look(second.moment_id, second.id)).receipt == second
    assert await shown(store, second) is None


async def test_a_deletion_that_was_broken_off_is_finished(
    existence: Existence, store: BlobStore, make_receipt: MakeReceipt
) -> None:
    """By whoever deletes again, posts again, renders or sweeps: the renditions left are shown no more."""
    first, second = make_receipt(attempt=FIRST), make_receipt(attempt=SECOND)
    post, body = rendered(first)
    for finish in (
        lambda: existence.end(first.moment_id, first.id, GONE_AGAIN),
        lambda: commit(existence, second),
        lambda: existence.fence(first.moment_id, first.id),
    ):
        await put(store, keys.intake(first.moment_id, first.id), b"".join(intake.pack(first, b"", b"")))
        await existence.end(first.moment_id, first.id, GONE)
        await put(store, keys.media(first.moment_id, first.id), body)
        assert await shown(store, post) == FIRST  # type: ignore[arg-type] # it has the same ids

        await finish()
        assert await shown(store, first) is None


async def test_a_deletion_again_keeps_out_uploads_that_began_before_it(
    existence: Existence, make_receipt: MakeReceipt
) -> None:
    """Whoever was told twice that it is gone shall not find it there."""
    first, second = make_receipt(attempt=FIRST), make_receipt(attempt=SECOND)
    await commit(existence, first)
    await existence.end(first.moment_id, first.id, GONE)
    await existence.end(first.moment_id, first.id, GONE_AGAIN)

    with pytest.raises(Superseded):
        await commit(existence, second)
    third = make_receipt(attempt=THIRD)
    assert await commit(existence, third) is third


async def test_no_post_no_deletion(existence: Existence, make_receipt: MakeReceipt) -> None:
    """Neither where nobody posted, nor where the index knows that the deletion was complete."""
    first = make_receipt(attempt=FIRST)
    with pytest.raises(NoSuchPost):
        await existence.end(first.moment_id, first.id, GONE)
    assert await existence.look(first.moment_id, first.id) == Standing()
    await commit(existence, first)
    await existence.end(first.moment_id, first.id, GONE)
    with pytest.raises(NoSuchPost):
        await existence.end(first.moment_id, first.id, GONE_AGAIN, known=GONE)


async def test_full_renditions_are_never_taken_away(
    existence: Existence, store: BlobStore, make_receipt: MakeReceipt
) -> None:
    """Incomplete first, whole later; then the incomplete one comes again."""
    first = make_receipt(attempt=FIRST)
    await commit(existence, first)
    for complete, stays in ((False, False), (True, True), (False, True)):
        record = await existence.put_media(*rendered(first, complete=complete))
        assert record is not None
        assert record.complete is stays
    assert (await store.read(keys.media(first.moment_id, first.id))) == rendered(first)[1]


async def test_incomplete_renditions_are_stored_once(
    existence: Existence, store: BlobStore, make_receipt: MakeReceipt
) -> None:
    """Made again, as by a worker whose lease ended: the first ones stay, and their record is the answer."""
    first = make_receipt(attempt=FIRST)
    await commit(existence, first)
    post, body = rendered(first, complete=False)
    await existence.put_media(post, body)
    again, other = media.pack(post, {"front-thumb": media.Image(b"other" * 30, 1, 1)})

    assert await existence.put_media(again, other) == post
    assert await store.read(keys.media(first.moment_id, first.id)) == body


async def test_a_pair_that_cannot_be_read_may_be_deleted_and_is_never_written_over(
    existence: Existence, store: BlobStore, make_receipt: MakeReceipt
) -> None:
    """It may be the only copy of what somebody was told is safe."""
    first = make_receipt(attempt=FIRST)
    await store.create(keys.intake(first.moment_id, first.id), b"rubbish")

    with pytest.raises(Damaged):
        await commit(existence, first)
    assert not await existence.fence(first.moment_id, first.id)
    await existence.end(first.moment_id, first.id, GONE)
    assert (await existence.look(first.moment_id, first.id)).tombstone == Tombstone(GONE)


async def test_what_deletions_left_is_removed_in_the_end(
    existence: Existence, store: BlobStore, make_receipt: MakeReceipt
) -> None:
    """Tombstones alone: neither a pair nor its renditions."""
    gone, kept = make_receipt(user="ann", attempt=FIRST), make_receipt(user="bob", attempt=FIRST)
    for receipt in (gone, kept):
        await commit(existence, receipt)
        await existence.put_media(*rendered(receipt))
    await existence.end(gone.moment_id, gone.id, GONE)
    for receipt in (gone, kept, gone):
        await existence.clear(receipt.moment_id, receipt.id)

    left = {entry.key async for entry in store.list("")}
    assert left == {keys.intake(kept.moment_id, kept.id), keys.media(kept.moment_id, kept.id)}


async def test_attempts_of_before_they_had_ids(existence: Existence, make_receipt: MakeReceipt) -> None:
    """A receipt without one is older than any deletion."""
    old = make_receipt(attempt="")
    await commit(existence, old)
    assert await existence.put_media(*rendered(old)) is not None
    await existence.end(old.moment_id, old.id, GONE)
    second = make_receipt(attempt=SECOND)

    assert await commit(existence, second) is second


async def test_photos_go_when_the_post_is_finished_and_the_post_stays(
    existence: Existence, store: BlobStore, make_receipt: MakeReceipt
) -> None:
    """A bare receipt takes the place of the pair, not before its renditions are complete; all else stays the same."""
    receipt = make_receipt(attempt=FIRST)
    assert await existence.bare(receipt.moment_id, receipt.id) == "none"
    await commit(existence, receipt)
    assert await existence.bare(receipt.moment_id, receipt.id) == "unfinished"
    await existence.put_media(*rendered(receipt, complete=False))
    assert await existence.bare(receipt.moment_id, receipt.id) == "unfinished"
    await existence.put_media(*rendered(receipt))

    assert await existence.bare(receipt.moment_id, receipt.id) == "bare"
    assert await existence.bare(receipt.moment_id, receipt.id) == "already"

    archive = await store.read(keys.intake(receipt.moment_id, receipt.id))
    assert intake.is_bare(archive)
    assert (await existence.look(receipt.moment_id, receipt.id)).receipt == receipt
    assert (await commit(existence, receipt)).attempt == FIRST
    with pytest.raises(Damaged, match="photos were deleted"):
        intake.unpack(archive)
    await existence.end(receipt.moment_id, receipt.id, GONE)
    assert await existence.bare(receipt.moment_id, receipt.id) == "none"
    assert await shown(store, receipt) is None


async def test_a_deletion_of_all_that_a_user_sent_rejects_uploads_in_progress(
    existence: Existence, make_receipt: MakeReceipt
) -> None:
    """Where there is no post yet, an upload that began before the deletion is refused, and a later one is accepted."""
    early, later = make_receipt(attempt=FIRST), make_receipt(attempt=SECOND)

    await existence.end(early.moment_id, early.id, GONE, bars=True)

    with pytest.raises(Superseded):
        await commit(existence, early)
    assert await commit(existence, later) is later
    with pytest.raises(Superseded):
        await existence.end(early.moment_id, early.id, GONE, bars=True)


async def test_a_lost_pair_and_damaged_renditions_are_made_anew(
    existence: Existence, store: BlobStore, make_receipt: MakeReceipt
) -> None:
    """A receipt is restored only where nothing is; a voided media object is one that the next render replaces."""
    receipt = make_receipt(attempt=FIRST)
    await existence.put_media(*rendered(receipt))

    assert await existence.restore(receipt) is True
    assert await existence.restore(receipt) is False
    assert (await existence.look(receipt.moment_id, receipt.id)).receipt == receipt

    mark = (await store.read_tail(keys.media(receipt.moment_id, receipt.id), 8192)).mark
    assert await existence.void(receipt.moment_id, receipt.id, "another") is False
    assert await existence.void(receipt.moment_id, receipt.id, mark) is True
    assert await shown(store, receipt) is None
    await existence.put_media(*rendered(receipt))
    assert await shown(store, receipt) == FIRST
