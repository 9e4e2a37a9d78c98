"""The leader's history of decisions in Redis, so that a new leader keeps the floor of the one before it.

One key, written with every decision, which expires when the newest entry no longer counts. Without it a new leader
would know only of the workers that run now, and of a scale-up in progress these are few.
"""

from contextlib import suppress

import msgspec
from redis.asyncio import Redis

from storage.keys import NEEDED_KEY

from .sizing import Needed


async def remember(redis: Redis, history: tuple[Needed, ...], *, keep_s: float) -> None:
    """Replace the stored history; redis.RedisError."""
    await redis.set(NEEDED_KEY, msgspec.json.encode(history), px=max(1, int(keep_s * 1000)))


async def recalled(redis: Redis) -> tuple[Needed, ...]:
    """The stored history; empty if there is none, or none that can be read. redis.RedisError."""
    with suppress(ValueError, RecursionError):
        return msgspec.json.decode(await redis.get(NEEDED_KEY) or b"[]", type=tuple[Needed, ...])
    return ()
