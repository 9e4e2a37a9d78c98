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
    """The desired and current number of workers, and the measurements behind them, in seconds and jobs per second."""

    desired: int
    workers: int
    ready: int
    oldest_s: float
    arrivals_per_s: float
    service_s: float
    decided_at: Timestamp


class _Told(Scaling, frozen=True, kw_only=True):
    """A decision as stored in Redis, with its time to live."""

    ttl_ms: int = 180_000


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
