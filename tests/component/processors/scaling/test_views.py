"""What the autoscaler's listener shows, with a real Redis behind it."""

import msgspec
import pytest
from redis.asyncio import Redis

from processors.scaling.views import views
from storage.decision import Scaling, publish

DECISION = Scaling(
    desired=46,
    workers=12,
    ready=10_000,
    oldest_s=1.5,
    arrivals_per_s=100.0,
    service_s=0.12,
    decided_at="2026-01-01T00:00:00.000Z",
    tiers={"node": 30},
)


async def test_each_tier_has_its_number(redis: Redis) -> None:
    """Workers unless asked otherwise; a tier without a plan has no decision, which is answered 503."""
    await publish(redis, DECISION, ttl_s=60)
    ask = views(redis, None)["/v1/scaling"]

    assert await ask({}) == await ask({"tier": "worker"}) == DECISION
    assert await ask({"tier": "node"}) == msgspec.structs.replace(DECISION, tier="node", desired=30)
    assert await ask({"tier": "lb"}) is None


async def test_an_unknown_tier_is_an_error(redis: Redis) -> None:
    """A misspelt one must not look like one that has no decision now."""
    with pytest.raises(ValueError, match="`tier` is one of worker, node, lb"):
        await views(redis, None)["/v1/scaling"]({"tier": "nodes"})


async def test_without_redis_nothing_is_known(absent_redis: Redis) -> None:
    """503 for whoever asks, which then keeps what there is."""
    assert await views(absent_redis, None)["/v1/scaling"]({}) is None
    assert await views(absent_redis, None)["/workers"]({}) == {"workers": []}
