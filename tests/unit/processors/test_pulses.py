"""Pulses through a real Redis."""

from redis.asyncio import Redis

from processors.pulse import Pulse, pulse_key
from processors.pulses import heard, leave


async def test_all_workers_are_heard_wherever_they_are(redis: Redis) -> None:
    """The last pulse of each, by its key."""
    one, other = pulse_key("one", 7), pulse_key("other", 7)
    assert await heard(redis) == {}
    await leave(redis, one, Pulse(1, 0.1), ttl_s=60)
    await leave(redis, one, Pulse(2, 0.2, 1), ttl_s=60)
    await leave(redis, other, Pulse(3, 0.3), ttl_s=60)

    assert await heard(redis) == {one: Pulse(2, 0.2, 1), other: Pulse(3, 0.3)}


async def test_who_has_ended_is_heard_no_more_and_forgotten(redis: Redis) -> None:
    """Its pulse ends by itself; its name is taken out of the set, and comes back with the next pulse."""
    name = pulse_key("one", 7)
    await leave(redis, name, Pulse(1, 0.1), ttl_s=60)
    await redis.pexpire(name, 0)

    assert await heard(redis) == {}
    assert not await redis.exists("snapsurge:workers")
    await leave(redis, name, Pulse(2, 0.1), ttl_s=60)
    assert await heard(redis) == {name: Pulse(2, 0.1)}
