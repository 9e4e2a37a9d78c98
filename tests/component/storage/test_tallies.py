"""Tallies in a real Redis: totals that may be written again, refused pairs that count once."""

import pytest
from redis.asyncio import Redis

from storage import tallies
from storage.tallies import Tallied, Tally, tallied, tell


async def test_totals_of_all_lives_are_added_and_repetition_changes_nothing(redis: Redis) -> None:
    """A life writes its totals, not what was added; the pair's earliest time stays."""
    assert await tell(redis, "m", "a:1", Tally("a", {"created": 1}, 0, 5), {"x": 30})
    assert not await tell(redis, "m", "a:1", Tally("a", {"created": 2}, 1, 9), {"x": 20, "y": 7})
    assert not await tell(redis, "m", "a:1", Tally("a", {"created": 2}, 1, 9), {"x": 40})
    assert await tell(redis, "m", "b:1", Tally("b", {"overloaded": 3}), {})

    assert await tallied(redis, "m") == Tallied(Tally("", {"created": 2, "overloaded": 3}, 1, 9), 2, {"y": 7, "x": 20})
    assert await tallied(redis, "another") == Tallied()


async def test_refused_pairs_are_bounded(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as the limit are kept; with one more the account is told that some are missing."""
    script = tallies.Script(tallies._TELL.text.replace(str(tallies.REFUSED_MAX), "2"))
    monkeypatch.setattr(tallies, "_TELL", script)
    await tell(redis, "m", "a:1", Tally(), {"x": 1, "y": 2})
    assert not (await tallied(redis, "m")).cut

    await tell(redis, "m", "a:1", Tally(), {"z": 3})

    found = await tallied(redis, "m")
    assert (found.cut, found.lives, found.refused) == (True, 1, {"x": 1, "y": 2})


async def test_tallies_end_by_themselves(redis: Redis) -> None:
    """After a week, when the account has them."""
    await tell(redis, "m", "a:1", Tally(), {"x": 1})

    for key in await redis.keys("*"):
        assert 0 < await redis.ttl(key) <= tallies.TALLY_TTL_S
