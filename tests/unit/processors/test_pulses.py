"""Pulses through a real Redis."""

from typing import Any

from redis.asyncio import Redis

from processors.pulse import Pulse, worker_name
from processors.pulses import beat, end, heard

ONE, OTHER = worker_name("one", 7, "a"), worker_name("other", 7, "b")


async def test_all_workers_are_heard_wherever_they_are(redis: Redis) -> None:
    """The last pulse of each, by its name."""
    assert await heard(redis) == ({}, [])
    await beat(redis, ONE, Pulse(1, 0.1), ttl_s=60)
    await beat(redis, ONE, Pulse(2, 0.2, 1), ttl_s=60)
    await beat(redis, OTHER, Pulse(3, 0.3), ttl_s=60)

    assert await heard(redis) == ({ONE: Pulse(2, 0.2, 1), OTHER: Pulse(3, 0.3)}, [])


async def test_who_was_lost_is_told_once(redis: Redis) -> None:
    """Its pulse ends by itself; its name is taken out of the set, and comes back with the next pulse."""
    await beat(redis, ONE, Pulse(1, 0.1), ttl_s=60)
    await redis.pexpire(f"snapsurge:worker:{ONE}", 0)

    assert await heard(redis) == ({}, [ONE])
    assert await heard(redis) == ({}, [])
    await beat(redis, ONE, Pulse(2, 0.1), ttl_s=60)
    assert await heard(redis) == ({ONE: Pulse(2, 0.1)}, [])


async def test_who_ended_orderly_is_not_missed(redis: Redis) -> None:
    """Neither heard nor lost."""
    await beat(redis, ONE, Pulse(1, 0.1), ttl_s=60)
    await end(redis, ONE)

    assert await heard(redis) == ({}, [])


async def test_who_ends_between_two_looks_is_not_missed(redis: Redis, redis_url: str) -> None:
    """Its name was still there, its pulse is not: it took out both itself."""

    class Slow(Redis):
        async def mget(self, *keys: Any) -> Any:
            await end(redis, ONE)
            return await super().mget(*keys)

    await beat(redis, ONE, Pulse(1, 0.1), ttl_s=60)
    async with Slow.from_url(redis_url) as slow:
        assert await heard(slow) == ({}, [])
