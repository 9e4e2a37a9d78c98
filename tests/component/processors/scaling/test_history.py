"""The history's one key in a real Redis."""

import pytest
from redis.asyncio import Redis

from processors.scaling.history import recalled, remember
from processors.scaling.sizing import Needed

HISTORY = (Needed(at_ms=1, workers=9), Needed(at_ms=2, workers=3))


async def test_what_was_remembered_is_recalled_until_it_no_longer_counts(redis: Redis) -> None:
    """All of it, for as long as was said."""
    assert await recalled(redis) == ()

    await remember(redis, HISTORY, keep_s=300)

    assert await recalled(redis) == HISTORY
    assert 290_000 < await redis.pttl("snapsurge:scaling:needed") <= 300_000


async def test_a_history_that_counts_for_no_time_is_no_error(redis: Redis) -> None:
    """`SNAPSURGE_PROCESSORS_SCALE_DOWN_S=0` is allowed, and an expiry of 0 ms is not."""
    await remember(redis, HISTORY, keep_s=0)


@pytest.mark.parametrize("found", [b"", b"\xff", b"{}", b'[{"at_ms": "now", "workers": 1}]', b"[" * 100_000])
async def test_what_cannot_be_read_is_none(redis: Redis, found: bytes) -> None:
    """Whoever wrote it."""
    await redis.set("snapsurge:scaling:needed", found)

    assert await recalled(redis) == ()
