"""The index over two Redis: each post on its home, counts as a sum, and a shard that is away costs its own posts."""

from collections.abc import AsyncIterator, Callable

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from storage.blobs import Blob
from storage.files import FileStore
from storage.index import Counts, Index, Report
from storage.posts import Posts
from storage.records import Post, Receipt, accepted
from storage.sharded_index import ShardedIndex, epoch_of
from tests.component.storage.conftest import Shelf
from tests.reports import observed
from tests.unit.storage.conftest import MOMENT_ID

USERS = [f"user {number}" for number in range(12)]


@pytest.fixture
async def other(redis: Redis, redis_url: str) -> AsyncIterator[Redis]:
    """A second shard: another database of the same server."""
    async with Redis.from_url(redis_url.removesuffix("/0") + "/1") as client:
        yield client


def test_the_epoch_names_the_set_of_shards() -> None:
    """In any order; one shard has none, whatever its address."""
    assert epoch_of(["a", "b"]) == epoch_of(["b", "a"]) != epoch_of(["a", "b", "c"])
    assert epoch_of(["a"]) == epoch_of(["b"]) == ""


async def test_each_post_is_on_its_home_and_the_counts_are_a_sum(
    redis: Redis, other: Redis, make_post: Callable[..., Post]
) -> None:
    """Every method finds it there; no post is on both."""
    index = ShardedIndex(redis, {"one": redis, "two": other})
    posts = [make_post(user=user) for user in USERS]
    await index.counts_are_complete(MOMENT_ID)
    assert await observed(index, posts) == ["new"] * 12
    ids = [post.id for post in posts]

    assert await index.posts(ids) == posts
    assert await index.states(ids) == ["accepted"] * 12
    assert await index.counts(MOMENT_ID) == Counts(accepted=12, pending=12)
    there = [await Index(client).posts(ids) for client in (redis, other)]
    assert [sum(post is not None for post in pair) for pair in zip(*there, strict=True)] == [1] * 12
    assert {index.home(one) for one in ids} == {"one", "two"}
    for one in ids:
        await index.forget(one, MOMENT_ID, "f" * 32)
    assert await index.deletion(ids[0]) == "f" * 32
    assert await index.counts(MOMENT_ID) == Counts()


async def test_a_deletion_reaches_a_former_home(
    redis: Redis, other: Redis, redis_away: Redis, make_post: Callable[..., Post]
) -> None:
    """While a shard is added, nodes with the former list read there; one that is away delays no other deletion."""
    before, index = ShardedIndex(redis, {"one": redis}), ShardedIndex(redis, {"one": redis, "two": other})
    posts = [make_post(user=user) for user in USERS]
    await observed(before, posts)
    moved = [post.id for post in posts if index.home(post.id) == "two"]
    for post_id in moved:
        await index.forget(post_id, MOMENT_ID, "f" * 32)
    assert moved
    assert await before.posts(moved) == [None] * len(moved)

    half = ShardedIndex(redis, {"one": redis, "two": redis_away})
    (kept, *_) = [post.id for post in posts if half.home(post.id) == "one"]
    await half.forget(kept, MOMENT_ID, "f" * 32)
    assert await half.posts([kept]) == [None]
    with pytest.raises(RedisError):
        await half.forget(moved[0], MOMENT_ID, "f" * 32)


async def test_a_shard_that_is_away_costs_its_own_posts(
    redis: Redis, redis_away: Redis, make_post: Callable[..., Post]
) -> None:
    """Reads have the others; a report has told the others before it fails. Without any shard, all is an error."""
    index = ShardedIndex(redis, {"one": redis, "two": redis_away})
    posts = [make_post(user=user) for user in USERS]
    here = [index.home(post.id) == "one" for post in posts]
    ids = [post.id for post in posts]
    assert 0 < sum(here) < 12

    proof = await index.shards["one"].proof()
    with pytest.raises(RedisError):
        await index.observe([Report(post, proof) for post in posts])
    await index.counts_are_complete(MOMENT_ID)

    assert await index.posts(ids) == [post if is_here else None for post, is_here in zip(posts, here, strict=True)]
    assert await index.states(ids) == ["accepted" if is_here else "unknown" for is_here in here]
    nowhere = ShardedIndex(redis, {"two": redis_away})
    with pytest.raises(RedisError):
        await nowhere.posts(ids)


async def test_counts_of_a_shard_that_is_away_come_from_the_store(
    shelf: Shelf, redis_away: Redis, make_receipt: Callable[..., Receipt]
) -> None:
    """The others' come from their index: the store is asked for the records of the missing ones alone."""
    index = ShardedIndex(shelf.redis, {"one": shelf.redis, "two": redis_away})
    moment = await shelf.moments.create("eu", 1_769_860_800_000, 120)
    receipts = [make_receipt(user=user, moment_id=moment.id) for user in USERS]
    await index.counts_are_complete(moment.id)
    for receipt in receipts:
        assert await shelf.existence.commit(receipt, b"front", b"back") is receipt
        if index.home(receipt.id) == "one":
            await observed(index.shards["one"], [accepted(receipt)])
    read: list[str] = []

    class Watched(FileStore):
        """Notes whose objects are read."""

        async def read_tail(self, key: str, length: int) -> Blob:
            """Read, and note the key."""
            read.append(key)
            return await super().read_tail(key, length)

    assert isinstance(shelf.store, FileStore)
    async with Watched(shelf.store.root) as store:
        assert await Posts(store, index).counts(moment.id) == Counts(accepted=12, pending=12)

    assert {index.home(receipt.id) for receipt in receipts if any(receipt.id in key for key in read)} == {"two"}
