"""The limiter in Redis and without it: the same decisions as the arithmetic alone."""

from redis.asyncio import Redis

from ingest.limits import Rate
from ingest.ratelimit import RateLimiter

RATE = Rate(burst=4, period_s=3600)


async def test_redis_decides_as_the_arithmetic_does(redis: Redis) -> None:
    """A burst passes with what is left counted down, then no more; the script writes what `decide` would."""
    limiter = RateLimiter(redis, RATE)
    decisions = [await limiter.check("alice") for _ in range(6)]

    assert [one.allowed for one in decisions] == [True] * 4 + [False] * 2
    assert [one.remaining for one in decisions] == [3, 2, 1, 0, 0, 0]
    assert (await limiter.check("bob")).allowed


async def test_two_nodes_share_a_user(redis: Redis) -> None:
    """The place of a user is in Redis, not in a node."""
    one, other = RateLimiter(redis, RATE), RateLimiter(redis, RATE)
    allowed = [(await limiter.check("alice")).allowed for limiter in (one, other, one, other, one)]

    assert allowed == [True] * 4 + [False]


async def test_the_key_expires_when_the_user_is_as_new(redis: Redis) -> None:
    """Redis keeps nothing of a user who stays away."""
    await RateLimiter(redis, RATE).check("alice")

    assert 0 < await redis.pttl("snapsurge:rate:alice") <= RATE.interval_ms


async def test_without_redis_the_node_limits_alone(free_port: int) -> None:
    """Never off: the same burst, counted here."""
    async with Redis(port=free_port) as away:
        limiter = RateLimiter(away, RATE)
        allowed = [(await limiter.check("alice")).allowed for _ in range(5)]

    assert allowed == [True] * 4 + [False]
