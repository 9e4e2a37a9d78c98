"""Posts come and go by compare-and-swap: what another process does between two steps of a change, and a broken end."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from storage import keys
from storage.blobs import Blob, BlobStore, StoreUnavailable
from storage.existence import Existence, NoSuchPost, Superseded
from tests.component.storage.test_existence import FIRST, GONE, SECOND, MakeReceipt, commit, rendered, shown
from tests.stores import taken


@pytest.fixture
def existence(store: BlobStore) -> Existence:
    """Of an empty store."""
    return Existence(store)


class Meanwhile:
    """A store in which something else happens right after the first read; it takes so many deletions."""

    def __init__(self, store: BlobStore, happens: Callable[[], Awaitable[object]], deletions: int = 9) -> None:
        self._store, self._happens, self._deletions = store, happens, deletions
        self._happened = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def read_tail(self, key: str, length: int) -> Blob:
        """What is there before it happens."""
        try:
            return await self._store.read_tail(key, length)
        finally:
            if not self._happened:
                self._happened = True
                await self._happens()

    async def delete(self, key: str) -> None:
        """Fails at last."""
        if not self._deletions:
            raise StoreUnavailable("it was restarted")
        self._deletions -= 1
        await self._store.delete(key)


async def test_a_fence_that_stood_still_takes_no_renditions_of_a_later_post(
    existence: Existence, store: BlobStore, make_receipt: MakeReceipt
) -> None:
    """Posted again and rendered between its two reads: it names the media object that it read first."""
    first, second = make_receipt(attempt=FIRST), make_receipt(attempt=SECOND)
    await commit(existence, first)
    await existence.put_media(*rendered(first))
    await existence.end(first.moment_id, first.id, GONE)

    async def posted_again() -> None:
        await commit(existence, second)
        await existence.put_media(*rendered(second))

    late = Existence(Meanwhile(store, posted_again))
    await late.fence(first.moment_id, first.id)
    assert await shown(store, second) == SECOND


async def test_a_worker_that_stood_still_shows_nothing_after_the_deletion(
    existence: Existence, store: BlobStore, make_receipt: MakeReceipt
) -> None:
    """Deleted between its two reads: the renditions of the deleted attempt are not stored."""
    first = make_receipt(attempt=FIRST)
    await commit(existence, first)
    await existence.put_media(*rendered(first, complete=False))
    late = Existence(Meanwhile(store, lambda: existence.end(first.moment_id, first.id, GONE)))

    assert await late.put_media(*rendered(first)) is None
    assert await shown(store, first) is None


async def test_a_deletion_removes_renditions_whose_pair_the_store_lost(
    existence: Existence, store: BlobStore, make_receipt: MakeReceipt
) -> None:
    """They are what is left of the post; nothing makes a post of them afterwards. Without them there is no post."""
    lost, none = make_receipt(user="ann", attempt=FIRST), make_receipt(user="bob", attempt=FIRST)
    await existence.put_media(*rendered(lost))

    await existence.end(lost.moment_id, lost.id, GONE)

    assert await shown(store, lost) is None
    assert await existence.restore(lost) is False
    with pytest.raises(NoSuchPost):
        await existence.end(none.moment_id, none.id, GONE)
    assert not await taken(store, keys.intake(none.moment_id, none.id))


async def test_a_deletion_that_found_nothing_does_not_take_a_later_post_for_lost(
    existence: Existence, store: BlobStore, make_receipt: MakeReceipt
) -> None:
    """Posted and rendered between its two reads: the post stays."""
    second = make_receipt(attempt=SECOND)

    async def posted() -> None:
        await commit(existence, second)
        await existence.put_media(*rendered(second))

    with pytest.raises(Superseded):
        await Existence(Meanwhile(store, posted)).end(second.moment_id, second.id, GONE)
    assert await shown(store, second) == SECOND


async def test_tombstones_whose_removal_broke_off_are_removed_the_next_time(
    existence: Existence, store: BlobStore, make_receipt: MakeReceipt
) -> None:
    """The intake object goes last, because a sweep finds posts by it."""
    first = make_receipt(attempt=FIRST)
    await commit(existence, first)
    await existence.put_media(*rendered(first))
    await existence.end(first.moment_id, first.id, GONE)

    async def nothing() -> None:
        pass

    with pytest.raises(StoreUnavailable):
        await Existence(Meanwhile(store, nothing, deletions=1)).clear(first.moment_id, first.id)
    assert [entry.key async for entry in store.list("")] == [keys.intake(first.moment_id, first.id)]
    await existence.clear(first.moment_id, first.id)
    assert [entry.key async for entry in store.list("")] == []
