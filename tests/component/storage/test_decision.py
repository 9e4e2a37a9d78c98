"""The decision's one key in a real Redis."""

import msgspec
import pytest
from redis.asyncio import Redis

from storage.decision import Scaling, latest, publish

DECISION = Scaling(
    desired=3,
    workers=2,
    ready=7,
    oldest_s=0.5,
    arrivals_per_s=1.0,
    service_s=0.1,
    decided_at="2026-01-01T00:00:00.000Z",
)


async def test_the_latest_one_counts_and_ends_by_itself(redis: Redis) -> None:
    """None before the first, the last one after, with a life as long as was said."""
    assert await latest(redis) is None

    await publish(redis, msgspec.structs.replace(DECISION, desired=1), ttl_s=60)
    await publish(redis, DECISION, ttl_s=5)

    assert await latest(redis) == DECISION
    assert 4000 < await redis.pttl("snapsurge:scaling") <= 5000


@pytest.mark.parametrize("found", [b"", b"no json", b"{}", b'{"desired":"three"}', b'{"decided_at":"\xff"}'])
async def test_what_cannot_be_read_is_none(redis: Redis, found: bytes) -> None:
    """Whoever wrote it: what there is stays."""
    await redis.set("snapsurge:scaling", found)

    assert await latest(redis) is None


async def test_a_decision_from_before_the_clock_was_set_back_is_none(redis: Redis) -> None:
    """It was not renewed, or it would not have so long to go."""
    await publish(redis, DECISION, ttl_s=5)
    await redis.pexpire("snapsurge:scaling", 604_000)

    assert await latest(redis) is None
    await publish(redis, DECISION, ttl_s=5)
    assert await latest(redis) == DECISION
