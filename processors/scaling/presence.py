"""The workers' pulses in Redis: each worker writes its own, and the autoscaler reads all in at most four round trips.

A pulse is a key that expires when its worker stops renewing it. A set holds the names of all workers, on any machine or
pod. A worker that stops in order removes its name, so a name without a pulse is a lost worker. An unreadable name or
pulse is skipped and does not affect other workers. The meaning of pulses is in pulse.py.
"""

import msgspec
from redis.asyncio import Redis

from storage.keys import PULSE_KEY, WORKERS_KEY

from .pulse import Pulse, parse_name, parse_pulse

# The longest life of a pulse. A key that expires later is from before Redis' clock was set back, so its worker is lost.
TTL_S_MAX = 60.0


async def beat(redis: Redis, worker: str, pulse: Pulse, *, ttl_s: float) -> None:
    """Write a worker's pulse, which expires after `ttl_s`; redis.RedisError."""
    pipe = redis.pipeline(transaction=False)
    pipe.set(PULSE_KEY + worker, msgspec.msgpack.encode(pulse), px=int(min(ttl_s, TTL_S_MAX) * 1000))
    pipe.sadd(WORKERS_KEY, worker)
    await pipe.execute()


async def end(redis: Redis, worker: str) -> None:
    """Remove a worker's name and pulse, so that it does not count as lost; redis.RedisError."""
    pipe = redis.pipeline(transaction=False)
    pipe.srem(WORKERS_KEY, worker)
    pipe.delete(PULSE_KEY + worker)
    await pipe.execute()


class Heard(msgspec.Struct, frozen=True):
    """The result of one read: fresh pulses by worker, workers lost since the last read, and unreadable names.

    `unreadable` holds names that cannot be read or whose pulse cannot. Such a worker is neither fresh nor lost until
    its pulse expires.
    """

    fresh: dict[str, Pulse] = {}
    lost: list[str] = []
    unreadable: frozenset[bytes] = frozenset()


async def heard(redis: Redis) -> Heard:
    """Read all pulses, and remove the names of lost workers; redis.RedisError."""
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
            pipe.srem(WORKERS_KEY, name)  # A worker that still lives adds its name again with its next pulse.
        # A name that was already removed belongs to a worker that stopped in order between our two calls.
        gone = [name for name, removed in zip(gone, await pipe.execute(), strict=True) if removed]
    read = {name: (parse_name(name), parse_pulse(raw)) for name, raw in found.items() if raw is not None}
    return Heard(
        fresh={name: pulse for name, pulse in read.values() if name is not None and pulse is not None},
        lost=[name for name in map(parse_name, gone) if name is not None],
        unreadable=frozenset(name for name, parts in read.items() if None in parts),
    )
