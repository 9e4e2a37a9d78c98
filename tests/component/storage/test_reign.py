"""Counts after there were two primaries, or after a refusal: not complete before all was counted again."""

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from storage.config import Config
from storage.index import Counts, Index
from storage.opening import redis_client
from storage.records import Post
from tests.e2e.test_processors_harness import until
from tests.fake_sentinel import FakeSentinel, address
from tests.refusing_redis import CAUSES, mend, operator
from tests.reports import observed

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
    await observed(Index(new), posts[:1])
    await Index(new).counts_are_complete(moment, recount)
    await observed(Index(old), posts)
    assert await Index(new).counts(moment) == Counts(accepted=1, ready=1, on_time=1)

    await follow(old, url_of(new))
    assert await Index(new).counts(moment) is None
    assert await Index(new).uncounted([moment]) == [moment]
    recount = await Index(new).recount(moment)
    await observed(Index(new), posts)
    await Index(new).counts_are_complete(moment, recount)
    assert await Index(new).counts(moment) == Counts(accepted=2, ready=2, on_time=2)


async def test_a_recount_during_which_another_primary_joined_is_not_complete(
    two: tuple[Redis, Redis], make_post: MakePost
) -> None:
    """It may have passed the place of a post that the other one had."""
    old, new = two
    post = make_post("ready")
    recount = await Index(new).recount(post.moment_id)
    await observed(Index(old), [post])
    await follow(old, url_of(new))
    await Index(new).counts_are_complete(post.moment_id, recount)

    assert await Index(new).counts(post.moment_id) is None


async def test_a_replica_that_comes_back_ends_no_reign(two: tuple[Redis, Redis], make_post: MakePost) -> None:
    """It lost its connection for a moment and has no other data: nothing has to be counted again."""
    old, new = two
    await follow(old, url_of(new))
    post = make_post("ready")
    recount = await Index(new).recount(post.moment_id)
    await observed(Index(new), [post])
    await Index(new).counts_are_complete(post.moment_id, recount)
    before = (await new.info("stats"))["sync_partial_ok"]
    await new.execute_command("CLIENT", "KILL", "TYPE", "replica")

    async def follows() -> bool:
        return bool((await new.info("stats"))["sync_partial_ok"] > before)

    await until(follows)
    assert await Index(new).counts(post.moment_id) == Counts(accepted=1, ready=1, on_time=1)


@contextlib.asynccontextmanager
async def follower(*sentinels: FakeSentinel) -> AsyncIterator[Redis]:
    """A client as every program makes it, of the primary that these Sentinels name."""
    made = redis_client(Config(redis_url=address(*sentinels)))
    try:
        yield made
    finally:
        await made.aclose()


def heard(client: Redis) -> None:
    """As if the Sentinels had been asked a moment ago: sooner than a working connection asks again."""
    client.connection_pool._sentinels._asked_s -= 0.5  # redis-py's pool has no public way to it


def port_of(client: Redis) -> int:
    """Of its server."""
    return int(client.connection_pool.connection_kwargs["port"])


async def test_a_primary_that_is_named_again_is_recounted_though_it_was_never_a_replica(
    two: tuple[Redis, Redis], make_post: MakePost
) -> None:
    """It noticed nothing. Meanwhile the other one was told of a post and of a deletion, and was lost."""
    old, new = two
    ann, bob, eve = (make_post("ready", user=user) for user in ("ann", "bob", "eve"))
    async with (
        FakeSentinel(port_of(old), epoch=0) as sentinel,
        follower(sentinel) as late,
        follower(sentinel) as client,
    ):
        for one in (late, client):
            await Index(one).counts_are_complete(ann.moment_id)
        await observed(Index(client), [ann, bob])
        sentinel.primary, sentinel.epoch = port_of(new), 1
        heard(client)
        assert await Index(client).counts(ann.moment_id) is None
        await observed(Index(client), [eve])
        await Index(client).forget(bob.id, bob.moment_id, "f" * 32)

        sentinel.primary, sentinel.epoch = port_of(old), 2
        for one in (late, client):  # one of them has missed all this
            heard(one)
            assert await Index(one).counts(ann.moment_id) is None
            assert await Index(one).uncounted([ann.moment_id]) == [ann.moment_id]
        generation = await Index(client).recount(ann.moment_id)
        await observed(Index(client), [ann, eve])
        await Index(client).counts_are_complete(ann.moment_id, generation)
        assert await Index(late).counts(ann.moment_id) == Counts(accepted=2, ready=2, on_time=2)


async def test_who_knows_an_older_term_believes_and_spoils_no_counts_of_a_younger(
    two: tuple[Redis, Redis], make_post: MakePost
) -> None:
    """It hears of the failover from another Sentinel, later; what was counted since is good for it too."""
    post = make_post("ready")
    before, after = FakeSentinel(port_of(two[0]), epoch=1), FakeSentinel(port_of(two[0]), epoch=3)
    async with before, after, follower(before) as late, follower(after) as client:
        generation = await Index(client).recount(post.moment_id)
        assert await Index(late).recount(post.moment_id) == generation
        await observed(Index(client), [post])
        await Index(late).counts_are_complete(post.moment_id, generation)
        for one in (late, client):
            assert await Index(one).counts(post.moment_id) == Counts(accepted=1, ready=1, on_time=1)

        generation = await Index(late).recount("another")
        await Index(late).counts_are_complete("another", generation)
        assert await Index(late).counts("another") == Counts()
        assert await Index(client).counts("another") is None
        assert await Index(client).recount("another") != generation


async def test_sentinels_that_forget_their_failovers_end_no_reign_for_ever(
    two: tuple[Redis, Redis], make_post: MakePost
) -> None:
    """An operator has set them up anew: the term is 0 again, and a client that knows better counts once more."""
    post = make_post("ready")
    async with FakeSentinel(port_of(two[0]), epoch=7) as sentinel, follower(sentinel) as client:
        await Index(client).counts_are_complete(post.moment_id)
        sentinel.epoch = 0
        heard(client)
        assert await Index(client).counts(post.moment_id) == Counts()
        async with follower(sentinel) as fresh:
            assert await Index(fresh).counts(post.moment_id) == Counts()


@pytest.mark.parametrize("name", ["OOM", "NOREPLICAS", "MISCONF"])
async def test_counts_are_unknown_while_writes_are_refused_and_after_it(
    redis_server: Callable[[], AbstractContextManager[str]], make_post: MakePost, name: str
) -> None:
    """Another program's report was refused: reading alone would work, and find one post too few."""
    post = make_post("ready")
    with redis_server() as url:
        async with operator(url) as ops, Redis.from_url(url) as client:
            await Index(client).counts_are_complete(post.moment_id)
            assert await Index(client).counts(post.moment_id) == Counts()
            await CAUSES[name](ops, url)
            with pytest.raises(RedisError):
                await observed(Index(client), [post])
            with pytest.raises(RedisError):
                await Index(client).counts(post.moment_id)
            await mend(ops)

            assert await Index(client).counts(post.moment_id) is None
            generation = await Index(client).recount(post.moment_id)
            await observed(Index(client), [post])
            await Index(client).counts_are_complete(post.moment_id, generation)
            assert await Index(client).counts(post.moment_id) == Counts(accepted=1, ready=1, on_time=1)


async def test_a_recount_in_which_a_write_was_refused_is_not_complete(
    redis_server: Callable[[], AbstractContextManager[str]], make_post: MakePost
) -> None:
    """It may have been a report of a post whose place it had passed."""
    post = make_post("ready")
    with redis_server() as url:
        async with operator(url) as ops, Redis.from_url(url) as client:
            generation = await Index(client).recount(post.moment_id)
            await CAUSES["OOM"](ops, url)
            with pytest.raises(RedisError):
                await observed(Index(client), [post])
            await mend(ops)
            await Index(client).counts_are_complete(post.moment_id, generation)
            assert await Index(client).counts(post.moment_id) is None


async def test_counts_are_unknown_while_writes_are_paused(redis: Redis, redis_url: str) -> None:
    """As long as reports wait, so does whoever asks for the counts, and reads the store instead."""
    client = redis_client(Config(redis_url=redis_url, redis_timeout_s=0.2))
    await Index(client).counts_are_complete("moment")
    await redis.execute_command("CLIENT", "PAUSE", "60000", "WRITE")
    try:
        assert await client.get("any") is None
        with pytest.raises(RedisError, match="Timeout"):
            await Index(client).counts("moment")
    finally:
        await redis.execute_command("CLIENT", "UNPAUSE")
        await client.aclose()


async def test_a_deletion_is_taken_by_a_redis_without_memory(
    redis_server: Callable[[], AbstractContextManager[str]], make_post: MakePost
) -> None:
    """It frees some: otherwise the owner would be told to delete again, for hours."""
    post = make_post("ready")
    with redis_server() as url:
        async with operator(url) as ops, Redis.from_url(url) as client:
            await observed(Index(client), [post])
            await CAUSES["OOM"](ops, url)
            await Index(client).forget(post.id, post.moment_id, "f" * 32)
            assert await Index(client).posts([post.id]) == [None]
            assert await Index(client).deletion(post.id) == "f" * 32
