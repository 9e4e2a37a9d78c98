"""The autoscaler's latest decision, for whoever carries it out or looks: one key in Redis that ends by itself.

A decision that is not renewed is no decision: whoever finds none keeps what there is. What to decide, and who decides,
is the processors' business.
"""

from contextlib import suppress

import msgspec
from redis.asyncio import Redis

from .records import Timestamp

_KEY = "snapsurge:scaling"


class Scaling(msgspec.Struct, frozen=True, kw_only=True):
    """How many workers there should be and are, and the measures that this follows from; seconds, jobs a second."""

    desired: int
    workers: int
    ready: int
    oldest_s: float
    arrivals_per_s: float
    service_s: float
    decided_at: Timestamp


async def publish(redis: Redis, scaling: Scaling, *, ttl_s: float) -> None:
    """Replace the decision; redis.RedisError."""
    await redis.set(_KEY, msgspec.json.encode(scaling), px=int(ttl_s * 1000))


async def latest(redis: Redis) -> Scaling | None:
    """The decision, None when there is no fresh one that can be read; redis.RedisError."""
    found = await redis.get(_KEY)
    with suppress(ValueError, RecursionError):
        return None if found is None else msgspec.json.decode(found, type=Scaling)
    return None
