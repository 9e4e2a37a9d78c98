"""The pulses of all workers in one Redis: each leaves its own, the autoscaler hears all of them in two round trips.

A pulse is a key that ends by itself when its worker does; a set names them all, whatever machine or pod they are on.
What they mean is decided in pulse.py.
"""

import msgspec
from redis.asyncio import Redis

from .pulse import Pulse

_NAMES_KEY = "snapsurge:workers"


async def leave(redis: Redis, key: str, pulse: Pulse, *, ttl_s: float) -> None:
    """Tell of oneself, for so long; redis.RedisError."""
    pipe = redis.pipeline(transaction=False)
    pipe.set(key, msgspec.msgpack.encode(pulse), px=int(ttl_s * 1000))
    pipe.sadd(_NAMES_KEY, key)
    await pipe.execute()


async def heard(redis: Redis) -> dict[str, Pulse]:
    """The pulses that are fresh, by their keys; redis.RedisError."""
    names = sorted(name.decode() for name in await redis.smembers(_NAMES_KEY))  # type: ignore[misc] # redis-py's types
    if not names:
        return {}
    found = dict(zip(names, await redis.mget(names), strict=True))
    silent = [name for name, pulse in found.items() if pulse is None]
    if silent:
        await redis.srem(_NAMES_KEY, *silent)  # type: ignore[misc] # as above; who pulses again is named again
    return {name: msgspec.msgpack.decode(pulse, type=Pulse) for name, pulse in found.items() if pulse is not None}
