"""The index of a moment is compared with the store and put right, by a whole verification."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from processors.verifying.index_check import IndexCheck
from processors.verifying.verdicts import Verified
from storage import keys
from storage.blobs import Entry, StoreUnavailable
from storage.files import FileStore
from storage.posts import NoSuchPost
from storage.records import flagged
from storage.sharded_index import ShardedIndex
from tests.component.processors.verifying.pairs import finish, receive
from tests.component.processors.verifying.test_verifier import told, verified
from tests.reports import observed


async def test_the_index_is_put_right(world: Any) -> None:
    """A wrong record, and the record of a deleted post: the store decides, and the counts agree again."""
    ann, ben = await finish(world, "ann"), await finish(world, "ben")
    post = (await world.index.posts([ann.id]))[0]
    wrong = msgspec.structs.replace(post, user_id="eve")
    await world.redis.hset(keys.POST_KEY + ann.id, "j", msgspec.json.encode(wrong))
    await world.existence.end(world.moment_id, ben.id, world.attempt())

    keys_told = sorted([keys.POST_KEY + ann.id, keys.POST_KEY + ben.id])
    found = await verified(world)
    assert sorted(one for _, one, _ in told(found) if one != keys.COUNTS_KEY + world.moment_id) == keys_told
    found = await verified(world, repairs=True)
    assert found.ok
    assert sorted(one.object for one in found.findings) == keys_told
    again = await verified(world)
    assert (again.ok, again.index) == (True, again.store)
    assert (await world.posts.get(ann.id)).user_id == "ann"
    with pytest.raises(NoSuchPost):
        await world.posts.get(ben.id)


async def test_wrong_counts_are_counted_again(world: Any) -> None:
    """Also where every entry is right."""
    await finish(world, "ann")
    await world.redis.hincrby(keys.COUNTS_KEY + world.moment_id, "accepted", 1)

    assert told(await verified(world)) == [("index", keys.COUNTS_KEY + world.moment_id, False)]
    assert told(await verified(world, repairs=True)) == [("index", keys.COUNTS_KEY + world.moment_id, True)]
    assert (await world.index.counts(world.moment_id)).accepted == 1


async def test_wrong_counts_are_counted_again_soon_after_another_recount(world: Any) -> None:
    """The recount joins none that began before, whose counts are the wrong ones."""
    await finish(world, "ann")
    for _ in range(2):
        await world.redis.hincrby(keys.COUNTS_KEY + world.moment_id, "accepted", 1)
        assert told(await verified(world, repairs=True)) == [("index", keys.COUNTS_KEY + world.moment_id, True)]
        assert (await verified(world)).findings == []
        assert (await world.index.counts(world.moment_id)).accepted == 1


async def test_a_late_flag_that_is_not_there_yet_is_nothing_wrong(world: Any) -> None:
    """Entries are behind the store for as long as jobs run."""
    receipt = await receive(world, "ann")
    await world.enqueue(receipt.id)
    await observed(world.index, [flagged((await world.index.posts([receipt.id]))[0], receipt.late_by_ms)])

    assert (await verified(world)).findings == []


async def test_counts_that_change_meanwhile_are_not_compared(world: Any) -> None:
    """A moment whose posts come while it is verified is not wrong."""
    await finish(world, "ann")
    check = IndexCheck(world.store, ShardedIndex(world.redis, {"": world.redis}), repairs=False, again_s=0.01)
    began = await world.index.counts(world.moment_id)
    found = Verified(moment=world.moment_id, posts=1, store=began)
    await receive(world, "ben")

    await check.counts(world.moment_id, found, began)

    assert found.findings == []
    assert found.index is not None
    assert found.index.accepted == 2


class Forgetful(FileStore):
    """A store whose first listings lack a post, as those of a MinIO while a member of it is just back."""

    lacks = ""

    async def list(self, prefix: str, after: str = "") -> AsyncIterator[Entry]:
        """The entries; the post is lacking once in each folder."""
        async for entry in super().list(prefix, after):
            if not self.lacks or self.lacks not in entry.key:
                yield entry
            elif "/media/" in entry.key:  # listed after the pairs
                self.lacks = ""


@pytest.mark.parametrize("repairs", [False, True])
async def test_a_listing_that_lacked_a_post_is_no_finding(world: Any, *, repairs: bool) -> None:
    """It could not be told what the store has; the next verification finds nothing."""
    await finish(world, "ann")
    post = await finish(world, "ben")
    async with Forgetful(world.store.root) as store:
        whole, world.store = world.store, store
        store.lacks = post.id
        with pytest.raises(StoreUnavailable, match="lists 2 posts now and listed 1 before"):
            await verified(world, repairs=repairs)
        world.store = whole
    assert (await verified(world)).findings == []
