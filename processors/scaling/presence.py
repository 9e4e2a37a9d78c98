"""The pulses of all workers in one Redis: each leaves its own, the autoscaler hears all of them in three round trips.

A pulse is a key that ends by itself when its worker does; a set names them all, whatever machine or pod they are on.
Who ends orderly takes its name out, so a name without a pulse is a worker that was lost. A name or a pulse that cannot
be read is one that was not heard: it harms no other. What pulses mean is decided in pulse.py.
"""

import msgspec
from redis.asyncio import Redis

from storage.keys import PULSE_KEY, WORKERS_KEY

from .pulse import Pulse, parse_name, parse_pulse

# A pulse that has longer to go was left before Redis' clock was set back, and its worker has not been heard since.
TTL_S_MAX = 60.0


async def beat(redis: Redis, worker: str, pulse: Pulse, *, ttl_s: float) -> None:
    """Tell of oneself, for so long; redis.RedisError."""
    pipe = redis.pipeline(transaction=False)
    pipe.set(PULSE_KEY + worker, msgspec.msgpack.encode(pulse), px=int(min(ttl_s, TTL_S_MAX) * 1000))
    pipe.sadd(WORKERS_KEY, worker)
    await pipe.execute()


async def end(redis: Redis, worker: str) -> None:
    """Take oneself out, so as not to be missed; redis.RedisError."""
    pipe = redis.pipeline(transaction=False)
    pipe.srem(WORKERS_KEY, worker)
    pipe.delete(PULSE_KEY + worker)
    await pipe.execute()


class Heard(msgspec.Struct, frozen=True):
    """What one look brings: fresh pulses by worker, who was lost since the last look, and names of what is unreadable.

    A name is unreadable by itself or by its pulse; such a worker is neither fresh nor lost while that pulse is there.
    """

    fresh: dict[str, Pulse] = {}
    lost: list[str] = []
    unreadable: frozenset[bytes] = frozenset()


async def heard(redis: Redis) -> Heard:
    """All of them; redis.RedisError."""
    names = sorted(await redis.smembers(WORKERS_KEY))  # type: ignore[misc] # redis-py's types
    if not names:
        return Heard()
    found = dict(zip(names, await redis.mget([PULSE_KEY.encode() + name for name in names]), strict=True))
    pipe = redis.pipeline(transaction=False)
    for name in names:
        pipe.pttl(PULSE_KEY.encode() + name)
    for name, left_ms in zip(names, await pipe.execute(), strict=True):
        if left_ms > TTL_S_MAX * 1000:
            found[name] = None
    gone = [name for name, raw in found.items() if raw is None]
    if gone:
        pipe = redis.pipeline(transaction=False)
        for name in gone:
            pipe.srem(WORKERS_KEY, name)  # who pulses again is named again
        # Whose name was gone by itself has ended orderly, between our two looks.
        gone = [name for name, removed in zip(gone, await pipe.execute(), strict=True) if removed]
    read = {name: (parse_name(name), parse_pulse(raw)) for name, raw in found.items() if raw is not None}
    return Heard(
        fresh={name: pulse for name, pulse in read.values() if name is not None and pulse is not None},
        lost=[name for name in map(parse_name, gone) if name is not None],
        unreadable=frozenset(name for name, parts in read.items() if None in parts),
    )
