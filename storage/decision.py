"""The autoscaler's latest decision in Redis: one key with a time to live, for programs that apply or display it.

A decision that has expired no longer counts: a program that finds none keeps the current number of workers.
`processors/` computes the decision and elects the process that publishes it.
"""

from contextlib import suppress

import msgspec
from redis.asyncio import Redis

from .keys import SCALING_KEY
from .records import Timestamp


class Scaling(msgspec.Struct, frozen=True, kw_only=True):
    """The desired and current number of workers, and the measurements behind them, in seconds and jobs per second.

    As the answer about another `tier`, `desired` is the planned number of its processes: 0 while no moment needs any.
    """

    tier: str = "worker"
    desired: int
    workers: int
    ready: int
    oldest_s: float
    arrivals_per_s: float
    service_s: float
    decided_at: Timestamp
    # How many of each other tier a moment needs now, as planned; without a plan for a tier, there is no decision on it.
    tiers: dict[str, int] = {}


class _Told(Scaling, frozen=True, kw_only=True):
    """A decision as stored in Redis, with its time to live."""

    ttl_ms: int = 180_000


# The tiers that can be asked about; workers follow the queue, the others a plan.
TIERS = ("worker", "node", "lb")


def of_tier(scaling: Scaling | None, tier: str) -> Scaling | None:
    """The decision on a tier; None when there is none."""
    if scaling is None or tier == "worker":
        return scaling
    desired = scaling.tiers.get(tier)
    return None if desired is None else msgspec.structs.replace(scaling, tier=tier, desired=desired)


async def publish(redis: Redis, scaling: Scaling, *, ttl_s: float) -> None:
    """Replace the stored decision; redis.RedisError."""
    told = _Told(**msgspec.structs.asdict(scaling), ttl_ms=int(ttl_s * 1000))
    await redis.set(SCALING_KEY, msgspec.json.encode(told), px=told.ttl_ms)


async def latest(redis: Redis) -> Scaling | None:
    """The current decision, or None if it is missing, expired or unreadable; redis.RedisError."""
    pipe = redis.pipeline(transaction=False)
    pipe.get(SCALING_KEY)
    pipe.pttl(SCALING_KEY)
    found, left_ms = await pipe.execute()
    with suppress(ValueError, RecursionError):
        told = None if found is None else msgspec.json.decode(found, type=_Told)
        # More time left than the decision's whole time to live: Redis' clock was set back since, so the decision is
        # stale.
        if told is not None and left_ms <= told.ttl_ms:
            return msgspec.convert(told, Scaling, from_attributes=True)
    return None
