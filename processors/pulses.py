"""The pulses of all workers in one Redis: each leaves its own, the autoscaler hears all of them in two round trips.

A pulse is a key that ends by itself when its worker does; a set names them all, whatever machine or pod they are on.
Who ends orderly takes its name out, so a name without a pulse is a worker that was lost. What pulses mean is decided in
pulse.py.
"""

import msgspec
from redis.asyncio import Redis

from .pulse import Pulse

_NAMES_KEY = "snapsurge:workers"
_PULSE_KEY = "snapsurge:worker:"


async def beat(redis: Redis, worker: str, pulse: Pulse, *, ttl_s: float) -> None:
    """Tell of oneself, for so long; redis.RedisError."""
    pipe = redis.pipeline(transaction=False)
    pipe.set(_PULSE_KEY + worker, msgspec.msgpack.encode(pulse), px=int(ttl_s * 1000))
    pipe.sadd(_NAMES_KEY, worker)
    await pipe.execute()


async def end(redis: Redis, worker: str) -> None:
    """Take oneself out, so as not to be missed; redis.RedisError."""
    pipe = redis.pipeline(transaction=False)
    pipe.srem(_NAMES_KEY, worker)
    pipe.delete(_PULSE_KEY + worker)
    await pipe.execute()


async def heard(redis: Redis) -> tuple[dict[str, Pulse], list[str]]:
    """The pulses that are fresh by worker, and who was lost since the last look; redis.RedisError."""
    names = sorted(name.decode() for name in await redis.smembers(_NAMES_KEY))  # type: ignore[misc] # redis-py's types
    if not names:
        return {}, []
    found = dict(zip(names, await redis.mget([_PULSE_KEY + name for name in names]), strict=True))
    lost = [name for name, pulse in found.items() if pulse is None]
    if lost:
        pipe = redis.pipeline(transaction=False)
        for name in lost:
            pipe.srem(_NAMES_KEY, name)  # who pulses again is named again
        # Whose name was gone by itself has ended orderly, between our two looks.
        lost = [name for name, removed in zip(lost, await pipe.execute(), strict=True) if removed]
    fresh = {name: msgspec.msgpack.decode(pulse, type=Pulse) for name, pulse in found.items() if pulse is not None}
    return fresh, lost
