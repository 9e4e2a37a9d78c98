"""A recount on real Redis: posts that the index lost are reported, and none that was deleted meanwhile."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from redis.asyncio import Redis

from storage.index import Counts
from storage.records import Post
from storage.recounting import SOME, Recount
from storage.sharded_index import ShardedIndex


async def accepted(shelf: Any, make_receipt: Any, count: int) -> list[Post]:
    """Posts of which Redis knows nothing."""
    moment = await shelf.moments.create("eu", 1_769_860_800_000, 120)
    receipts = [make_receipt(user=f"user{number}", moment_id=moment.id) for number in range(count)]
    return [await shelf.accept(receipt, tell=False) for receipt in receipts]


async def test_each_few_posts_have_a_proof_of_their_own(shelf: Any, make_receipt: Any) -> None:
    """So a long recount reports every post, whatever is lost in between."""
    posts = await accepted(shelf, make_receipt, 2 * SOME + 1)
    by_id, calls = {one.id: one for one in posts}, list[int]()

    async def read(ids: Sequence[str]) -> AsyncIterator[list[Post]]:
        calls.append(len(ids))
        yield [by_id[one] for one in ids]
        await shelf.redis.flushall()

    recount = Recount(shelf.index, [""])
    found = [one async for some in recount.reported([one.id for one in posts], read) for one in some]

    assert found == posts
    assert calls == [SOME, SOME, 1]
    assert recount.untold == set()


async def test_what_is_lost_while_posts_are_read_is_not_restored(shelf: Any, make_receipt: Any) -> None:
    """A post was read, then deleted, then Redis lost the deletion: no entry, and the shard is not complete."""
    (post,) = await accepted(shelf, make_receipt, 1)

    async def read(_ids: Sequence[str]) -> AsyncIterator[list[Post]]:
        await shelf.posts.delete(post.id, "f" * 32)
        await shelf.redis.flushall()
        yield [post]

    recount = Recount(shelf.index, [""])
    assert [some async for some in recount.reported([post.id], read)] == [[post]]
    assert recount.untold == {""}
    assert await shelf.index.posts([post.id]) == [None]
    assert await shelf.posts.counts(post.moment_id) == Counts()


async def test_a_shard_that_is_away_is_untold(shelf: Any, make_receipt: Any, redis_away: Redis) -> None:
    """Its posts are yielded all the same; posts of shards that are not recounted are not read."""
    posts = await accepted(shelf, make_receipt, 12)
    index = ShardedIndex(shelf.redis, {"one": shelf.redis, "two": redis_away})
    by_id = {one.id: one for one in posts}

    async def read(ids: Sequence[str]) -> AsyncIterator[list[Post]]:
        yield [by_id[one] for one in ids]

    recount = Recount(index, ["one", "two"])
    found = [one async for some in recount.reported(list(by_id), read) for one in some]
    assert found == posts
    assert recount.untold == {"two"}
    known = [one.id for one in posts if index.home(one.id) == "one"]
    assert [one is not None for one in await index.posts(list(by_id))] == [one in known for one in by_id]

    found = [one async for some in Recount(index, ["two"]).reported(list(by_id), read) for one in some]
    assert [one.id for one in found] == [one for one in by_id if one not in known]
