"""The limiter in Redis and without it: the same decisions as the arithmetic alone."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from redis.asyncio import Redis

from ingest.gcra import Rate
from ingest.ratelimit import RateLimiter
from storage.config import Config
from storage.opening import redis_client

RATE = Rate(burst=4, period_s=3600)


async def test_redis_decides_as_the_arithmetic_does(redis: Redis) -> None:
    """A burst passes with what is left counted down, then no more; the script writes what `decide` would."""
    async with RateLimiter({"one": redis}, RATE) as limiter:
        decisions = [await limiter.check("alice", "post") for _ in range(6)]
        other = await limiter.check("bob", "post")

    assert [one.allowed for one in decisions] == [True] * 4 + [False] * 2
    assert [one.remaining for one in decisions] == [3, 2, 1, 0, 0, 0]
    assert other.allowed


async def test_uploads_of_one_instant_share_a_call_and_are_told_apart(redis: Redis) -> None:
    """Six of one user and one of another at once: one script call, the same decisions as one after another."""
    async with RateLimiter({"one": redis}, RATE, linger_s=0.01) as limiter:
        await limiter.check("c", "post")
        await redis.config_resetstat()
        decisions = await asyncio.gather(*(limiter.check(user, "post") for user in [*"aaaaaa", "b"]))

    assert [one.allowed for one in decisions] == [True] * 4 + [False] * 2 + [True]
    assert (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"] == 1


async def test_two_nodes_share_a_user(redis: Redis) -> None:
    """The place of a user is in Redis, not in a node."""
    async with RateLimiter({"one": redis}, RATE) as one, RateLimiter({"one": redis}, RATE) as other:
        allowed = [(await limiter.check("alice", "post")).allowed for limiter in (one, other, one, other, one)]

    assert allowed == [True] * 4 + [False]


async def test_the_key_expires_when_the_user_is_as_new(redis: Redis) -> None:
    """Redis keeps nothing of a user who stays away."""
    async with RateLimiter({"one": redis}, RATE) as limiter:
        await limiter.check("alice", "post")

    assert 0 < await redis.pttl("snapsurge:rate:alice") <= RATE.interval_ms


async def test_without_redis_the_node_limits_alone(free_port: int) -> None:
    """Never off: the same burst, counted here."""
    async with Redis(port=free_port) as away, RateLimiter({"one": away}, RATE) as limiter:
        allowed = [(await limiter.check("alice", "post")).allowed for _ in range(5)]

    assert allowed == [True] * 4 + [False]


async def test_a_clock_that_was_set_back_limits_nobody(redis: Redis, free_port: int) -> None:
    """A place further ahead than any upload can bring it is forgotten; one as far as that is not."""
    now_ms = (await redis.time())[0] * 1000
    bound_ms = RATE.interval_ms * RATE.burst
    await redis.mset({"snapsurge:rate:ann": now_ms + bound_ms + 599_000, "snapsurge:rate:bob": now_ms + bound_ms})
    async with RateLimiter({"one": redis}, RATE) as limiter:
        assert (await limiter.check("ann", "post")).remaining == 3
        assert (await limiter.check("ann", "post")).remaining == 2
        refused = await limiter.check("bob", "post")
    assert not refused.allowed
    assert refused.retry_after_s <= RATE.interval_ms / 1000


async def test_a_redis_that_refuses_is_logged_once_without_users(
    redis_server: Callable[[], AbstractContextManager[str]], caplog: pytest.LogCaptureFixture
) -> None:
    """Full, a replica, without a disk: this node limits alone, says so when it begins and ends, and names nobody."""
    with redis_server() as url:
        client = redis_client(Config(redis_url=url))
        async with Redis.from_url(url) as ops, RateLimiter({"one": client}, RATE) as limiter:
            await ops.config_set("maxmemory", 1)
            for _ in range(3):
                await limiter.check("user-4711", "post")
            await ops.config_set("maxmemory", 0)
            await limiter.check("user-4711", "post")
            assert await ops.exists("snapsurge:rate:user-4711")
        await client.aclose()
    said = [record.getMessage() for record in caplog.records if record.name.startswith("snapsurge")]
    assert [one.partition(",")[0].partition(":")[0] for one in said] == [
        "cannot read Redis one",
        "Redis one answers again",
    ]
    assert "OOM" in said[0]
    assert "4711" not in said[0]
    assert len(said[0]) < 300
