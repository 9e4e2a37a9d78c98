"""The autoscaler's latest decision, for whoever carries it out or looks: one key in Redis that ends by itself.

A decision that is not renewed is no decision: whoever finds none keeps what there is. What to decide, and who decides,
is the processors' business.
"""

from contextlib import suppress

import msgspec
from redis.asyncio import Redis

from .keys import SCALING_KEY
from .records import Timestamp


class Scaling(msgspec.Struct, frozen=True, kw_only=True):
    """How many workers there should be and are, and the measures that this follows from; seconds, jobs a second."""

    desired: int
    workers: int
    ready: int
    oldest_s: float
    arrivals_per_s: float
    service_s: float
    decided_at: Timestamp


class _Told(Scaling, frozen=True, kw_only=True):
    """A decision as it stands in Redis, with how long it counts."""

    ttl_ms: int = 180_000


async def publish(redis: Redis, scaling: Scaling, *, ttl_s: float) -> None:
    """Replace the decision; redis.RedisError."""
    told = _Told(**msgspec.structs.asdict(scaling), ttl_ms=int(ttl_s * 1000))
    await redis.set(SCALING_KEY, msgspec.json.encode(told), px=told.ttl_ms)


async def latest(redis: Redis) -> Scaling | None:
    """The decision, None when there is no fresh one that can be read; redis.RedisError.

    One that has longer to go than it had at first was told before Redis' clock was set back, and not renewed since.
    """
    pipe = redis.pipeline(transaction=False)
    pipe.get(SCALING_KEY)
    pipe.pttl(SCALING_KEY)
    found, left_ms = await pipe.execute()
    with suppress(ValueError, RecursionError):
        told = None if found is None else msgspec.json.decode(found, type=_Told)
        if told is not None and left_ms <= told.ttl_ms:
            return msgspec.convert(told, Scaling, from_attributes=True)
    return None
