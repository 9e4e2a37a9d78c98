"""What outlives a leader of the autoscalers, and what it says of other tiers than workers."""

from typing import Any

from redis.asyncio import Redis

from processors.scaling.ladder import Step
from processors.scaling.presence import beat
from processors.scaling.pulse import Pulse, worker_name
from storage.decision import latest
from tests.component.processors.scaling.test_autoscale import FIRES_S, QUIET_S, Scaled, enqueue


async def desired(scaled: Scaled, redis: Redis, seconds: float) -> int:
    """The decision that is published so many seconds later."""
    await scaled.tick(seconds)
    told = await latest(redis)
    assert told is not None
    return told.desired


async def test_a_new_leader_keeps_what_its_predecessor_needed(world: Any, redis: Redis) -> None:
    """The history outlives the leader, also where fewer workers run than it wanted, and it is not begun anew."""
    first, second = (Scaled(world, redis, QUIET_S, with_pool=False) for _ in range(2))
    await enqueue(world, 10_000)
    await first.tick()
    await redis.delete("arq:queue")
    for pid in range(2):  # Kubernetes has started two of six.
        await beat(redis, worker_name("a pod", pid, "x"), Pulse(0, 0.0), ttl_s=6000)
    await first.election.resign()

    assert await desired(second, redis, 1) == 6
    assert await desired(second, redis, 295) == 6
    assert await desired(second, redis, 10) == 1


async def test_a_leader_that_returns_uses_the_history_of_now(world: Any, redis: Redis) -> None:
    """Not its own of an hour ago."""
    first, second = (Scaled(world, redis, QUIET_S, with_pool=False) for _ in range(2))
    await first.tick()
    await first.election.resign()
    await enqueue(world, 10_000)
    await second.tick()
    await first.tick()
    await redis.delete("arq:queue")
    await second.election.resign()

    assert await desired(first, redis, 1) == 6


async def test_the_ladder_is_told_for_every_tier(world: Any, redis: Redis) -> None:
    """Nodes and balancers before the moment, also earlier than the workers' lead; its workers are a floor."""
    steps = [(-3600.0, "node", 30), (-3600.0, "lb", 4), (-30.0, "worker", 5)]
    ladder = [Step(at_s=at_s, tier=tier, count=count) for at_s, tier, count in steps]
    scaled = Scaled(world, redis, FIRES_S - 3602, with_pool=False, ladder=ladder)
    seen = []
    for seconds in (1, 1, 3600 - 30, 30 + 120 + 30 + 300):
        workers = await desired(scaled, redis, seconds)
        told = await latest(redis)
        assert told is not None
        seen.append((workers, told.tiers))

    up = {"node": 30, "lb": 4}
    assert seen == [(1, {"node": 0, "lb": 0}), (1, up), (5, up), (1, {"node": 0, "lb": 0})]
    assert scaled.metrics.registry.get_sample_value("snapsurge_tier_desired", {"tier": "node"}) == 0
