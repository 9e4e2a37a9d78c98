"""Calls of many jobs share a round trip to each shard, and a shard that is away fails its own."""

import asyncio
from collections.abc import Callable

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from processors.batched import BatchedIndex
from storage.records import Post
from storage.sharded_index import ShardedIndex
from tests.unit.storage.conftest import make_post

__all__ = ["make_post"]


async def test_jobs_that_run_together_share_round_trips(redis: Redis, make_post: Callable[..., Post]) -> None:
    """Each gets its own answer."""
    posts = [make_post(user=f"user {number}") for number in range(40)]
    async with BatchedIndex(ShardedIndex(redis, {"": redis})) as index:
        assert await asyncio.gather(*(index.observe(post) for post in posts)) == ["unproven"] * 40
        first = (await redis.info("stats"))["total_reads_processed"]
        proofs = await asyncio.gather(*(index.proof(post.id) for post in posts))
        assert (await redis.info("stats"))["total_reads_processed"] - first < 10
        told = (index.observe(post, proof) for post, proof in zip(posts, proofs, strict=True))
        assert await asyncio.gather(*told) == ["new"] * 40
        before = (await redis.info("stats"))["total_reads_processed"]
        found = await asyncio.gather(*(index.post(post.id) for post in posts))
        after = (await redis.info("stats"))["total_reads_processed"]

        assert found == posts
        assert after - before < 10


async def test_a_shard_that_is_away_fails_its_own_posts(
    redis: Redis, absent_redis: Redis, make_post: Callable[..., Post]
) -> None:
    """The others' jobs go on."""
    sharded = ShardedIndex(redis, {"one": redis, "two": absent_redis})
    posts = [make_post(user=f"user {number}") for number in range(12)]
    async with BatchedIndex(sharded) as index:
        answers = await asyncio.gather(*(index.observe(post) for post in posts), return_exceptions=True)

    assert [isinstance(answer, RedisError) for answer in answers] == [sharded.home(post.id) == "two" for post in posts]
    with pytest.raises(RuntimeError, match="not open"):
        await index.post(posts[0].id)
