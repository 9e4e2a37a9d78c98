"""Who decides: one at a time, followed within a term, or at once by resigning."""

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from processors.election import Election


def candidates(redis: Redis) -> tuple[Election, Election]:
    """Two of them."""
    return Election(redis, "one", term_s=60), Election(redis, "other", term_s=60)


async def test_only_one_is_elected_and_stays_so(redis: Redis) -> None:
    """The first one, as often as they ask; its term begins anew each time."""
    one, other = candidates(redis)

    assert [await one.campaign(), await other.campaign()] == [True, False]
    await redis.pexpire("snapsurge:elected", 1000)
    assert [await one.campaign(), await other.campaign()] == [True, False]
    assert await redis.pttl("snapsurge:elected") > 50_000


async def test_a_dead_one_is_followed_after_its_term(redis: Redis) -> None:
    """Its key ends; the former one learns of it when it asks again."""
    one, other = candidates(redis)
    await one.campaign()
    await redis.pexpire("snapsurge:elected", 0)

    assert [await other.campaign(), await one.campaign()] == [True, False]
    assert [one.elected, other.elected] == [False, True]


async def test_who_resigns_is_followed_at_once_and_ends_nobody_elses_term(redis: Redis) -> None:
    """The key goes with its holder only."""
    one, other = candidates(redis)
    await one.campaign()
    await one.resign()
    assert not one.elected
    assert await other.campaign()

    await one.resign()

    assert not await one.campaign()


async def test_while_redis_is_away_nothing_changes(redis: Redis, absent_redis: Redis) -> None:
    """The elected one stays, nobody new comes."""
    candidate = Election(absent_redis, "one", term_s=60)
    for elected in (False, True):
        candidate.elected = elected
        with pytest.raises(RedisError):
            await candidate.campaign()
        assert candidate.elected is elected


async def test_a_holder_from_before_the_clock_was_set_back_is_followed(redis: Redis) -> None:
    """It cannot have so long to go; a holder with a somewhat longer term than ours is left alone."""
    ours, theirs = Election(redis, "ours", term_s=5), Election(redis, "theirs", term_s=20)
    assert await theirs.campaign()
    assert not await ours.campaign()
    await redis.pexpire("snapsurge:elected", 604_000)
    assert await ours.campaign()
    assert not await theirs.campaign()
