"""Tallies in a real Redis: totals that may be written again, refused pairs that count once."""

import pytest
from redis.asyncio import Redis

from storage import tallies
from storage.keys import TALLY_KEY
from storage.tallies import Tallied, Tally, tallied, tell, tries_of


async def test_totals_of_all_lives_are_added_and_repetition_changes_nothing(redis: Redis) -> None:
    """A life writes its totals, not what was added; the pair's earliest time stays."""
    await tell(redis, "m", "a:1", Tally("a", {"created": 1}, 0, 5), {"x": 30})
    await tell(redis, "m", "a:1", Tally("a", {"created": 2}, 1, 9), {"x": 20, "y": 7})
    await tell(redis, "m", "a:1", Tally("a", {"created": 2}, 1, 9), {"x": 40})
    await tell(redis, "m", "b:1", Tally("b", {"overloaded": 3}), {})

    assert await tallied(redis, "m") == Tallied(Tally("", {"created": 2, "overloaded": 3}, 1, 9), 2, {"y": 7, "x": 20})
    assert await tallied(redis, "another") == Tallied()


async def test_refused_pairs_are_bounded(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as the limit are kept; with one more the account is told that some are missing."""
    script = tallies.Script(tallies._TELL.text.replace(str(tallies.REFUSED_MAX), "2"))
    monkeypatch.setattr(tallies, "_TELL", script)
    await tell(redis, "m", "a:1", Tally(), {"x": 1, "y": 2})
    await tell(redis, "m", "b:1", Tally(), {"x": 1, "y": 1})
    assert not (await tallied(redis, "m")).cut

    await tell(redis, "m", "a:1", Tally(), {"z": 3})

    found = await tallied(redis, "m")
    assert (found.cut, found.lives, found.refused) == (True, 2, {"x": 1, "y": 1})


async def test_tallies_end_by_themselves(redis: Redis) -> None:
    """After a week, when the account has them."""
    await tell(redis, "m", "a:1", Tally(), {"x": 1})

    for key in await redis.keys("*"):
        assert 0 < await redis.ttl(key) <= tallies.TALLY_TTL_S


async def test_a_redis_that_went_back_says_what_it_lacks(redis: Redis) -> None:
    """After a failover, which loses the latest writes: nothing is written until what came before is."""
    assert await tell(redis, "m", "a:1", Tally("a", told=1), {"x": 1}) == 1
    before = {key: await redis.dump(key) for key in await redis.keys("*")}
    assert await tell(redis, "m", "a:1", Tally("a", told=2), {"y": 2}) == 2
    for key, value in before.items():
        await redis.restore(key, 60_000, value, replace=True)

    assert await tell(redis, "m", "a:1", Tally("a", told=3), {"z": 3}) == 1
    assert (await tallied(redis, "m")).refused == {"x": 1}
    assert await tell(redis, "m", "a:1", Tally("a", told=3), {"y": 2, "z": 3}) == 3
    await redis.flushall()
    assert await tell(redis, "m", "a:1", Tally("a", told=3), {}) == 0


async def test_a_tally_that_cannot_be_read_counts_as_lost(redis: Redis) -> None:
    """It stands in nobody's way, neither of the others nor of its own life's next write."""
    await tell(redis, "m", "b:1", Tally("b", {"created": 1}), {})
    await redis.hset(TALLY_KEY + "m", "a:1", b"{")  # type: ignore[misc] # redis-py's types

    assert (await tallied(redis, "m")).tally.tries == {"created": 1}
    assert await tries_of(redis, "m") == 1
    assert await tell(redis, "m", "a:1", Tally("a", {"created": 2}), {}) == 0
    assert await tries_of(redis, "m") == 3
