"""Counts after there were two primaries: nobody is told that they are complete before all was counted again."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis

from storage.index import Counts, Index
from storage.records import Post
from tests.e2e.test_processors_harness import until

MakePost = Callable[..., Post]


@pytest.fixture
async def two(redis_server: Callable[[], AbstractContextManager[str]]) -> AsyncIterator[tuple[Redis, Redis]]:
    """A primary, and one that was promoted from its replica while it went on."""
    with redis_server() as first, redis_server() as second:
        async with Redis.from_url(first) as old, Redis.from_url(second) as new:
            for one in (old, new):
                await one.config_set("repl-diskless-sync-delay", 0)  # no other replica will come
            await follow(new, first)
            await new.replicaof("NO", "ONE")
            yield old, new


async def follow(replica: Redis, primary: str) -> None:
    """It takes over the primary's data."""
    address = urlsplit(primary)
    await replica.replicaof(address.hostname, address.port)

    async def follows() -> bool:
        return (await replica.info("replication")).get("master_link_status") == "up"

    await until(follows)


def url_of(client: Redis) -> str:
    """The address of its server."""
    return f"redis://127.0.0.1:{client.connection_pool.connection_kwargs['port']}"


async def test_counts_are_unknown_after_another_primary_has_joined(
    two: tuple[Redis, Redis], make_post: MakePost
) -> None:
    """A post was told to it alone, after all was counted here: it is counted by the next recount."""
    old, new = two
    posts = [make_post("ready", user=user) for user in ("ann", "bob")]
    moment = posts[0].moment_id
    recount = await Index(new).recount(moment)
    await Index(new).observe(posts[:1])
    await Index(new).counts_are_complete(moment, recount)
    await Index(old).observe(posts)
    assert await Index(new).counts(moment) == Counts(accepted=1, ready=1, on_time=1)

    await follow(old, url_of(new))
    assert await Index(new).counts(moment) is None
    assert await Index(new).uncounted([moment]) == [moment]
    recount = await Index(new).recount(moment)
    await Index(new).observe(posts)
    await Index(new).counts_are_complete(moment, recount)
    assert await Index(new).counts(moment) == Counts(accepted=2, ready=2, on_time=2)


async def test_a_recount_during_which_another_primary_joined_is_not_complete(
    two: tuple[Redis, Redis], make_post: MakePost
) -> None:
    """It may have passed the place of a post that the other one had."""
    old, new = two
    post = make_post("ready")
    recount = await Index(new).recount(post.moment_id)
    await Index(old).observe([post])
    await follow(old, url_of(new))
    await Index(new).counts_are_complete(post.moment_id, recount)

    assert await Index(new).counts(post.moment_id) is None


async def test_a_replica_that_comes_back_ends_no_reign(two: tuple[Redis, Redis], make_post: MakePost) -> None:
    """It lost its connection for a moment and has no other data: nothing has to be counted again."""
    old, new = two
    await follow(old, url_of(new))
    post = make_post("ready")
    recount = await Index(new).recount(post.moment_id)
    await Index(new).observe([post])
    await Index(new).counts_are_complete(post.moment_id, recount)
    before = (await new.info("stats"))["sync_partial_ok"]
    await new.execute_command("CLIENT", "KILL", "TYPE", "replica")

    async def follows() -> bool:
        return bool((await new.info("stats"))["sync_partial_ok"] > before)

    await until(follows)
    assert await Index(new).counts(post.moment_id) == Counts(accepted=1, ready=1, on_time=1)
