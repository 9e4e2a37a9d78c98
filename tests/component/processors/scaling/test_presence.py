"""Pulses through a real Redis."""

import msgspec
import pytest
from redis.asyncio import Redis

from processors.scaling.presence import Heard, beat, end, heard_in, hearing
from processors.scaling.pulse import Pulse, worker_name
from storage.scripts import run_one

ONE, OTHER = worker_name("one", 7, "a"), worker_name("other", 7, "b")


async def heard(redis: Redis) -> Heard:
    """What the elected autoscaler hears."""
    await redis.set("snapsurge:elected", "leader")
    return heard_in(await run_one(redis, hearing("leader")))


async def test_all_workers_are_heard_wherever_they_are(redis: Redis) -> None:
    """The last pulse of each, by its name."""
    assert await heard(redis) == Heard()
    await beat(redis, ONE, Pulse(1, 0.1), ttl_s=60)
    await beat(redis, ONE, Pulse(2, 0.2, 1), ttl_s=60)
    await beat(redis, OTHER, Pulse(3, 0.3), ttl_s=60)

    assert await heard(redis) == Heard({ONE: Pulse(2, 0.2, 1), OTHER: Pulse(3, 0.3)})


async def test_who_was_lost_is_told_once(redis: Redis) -> None:
    """Its pulse ends by itself; its name is taken out of the set, and comes back with the next pulse."""
    await beat(redis, ONE, Pulse(1, 0.1), ttl_s=60)
    await redis.pexpire(f"snapsurge:worker:{ONE}", 0)

    assert await heard(redis) == Heard(lost=[ONE])
    assert await heard(redis) == Heard()
    await beat(redis, ONE, Pulse(2, 0.1), ttl_s=60)
    assert await heard(redis) == Heard({ONE: Pulse(2, 0.1)})


async def test_who_ended_orderly_is_not_missed(redis: Redis) -> None:
    """Neither heard nor lost."""
    await beat(redis, ONE, Pulse(1, 0.1), ttl_s=60)
    await end(redis, ONE)

    assert await heard(redis) == Heard()


async def test_only_the_leader_looks(redis: Redis) -> None:
    """Whoever is not elected hears nothing, and removes no name of a lost worker."""
    await redis.sadd("snapsurge:workers", ONE)
    await redis.set("snapsurge:elected", "leader")

    assert heard_in(await run_one(redis, hearing("standby"))) == Heard()
    assert heard_in(await run_one(redis, hearing("leader"))) == Heard(lost=[ONE])


async def told(redis: Redis, name: bytes, pulse: bytes) -> None:
    """A name and its pulse as some other program writes them."""
    await redis.sadd("snapsurge:workers", name)
    await redis.set(b"snapsurge:worker:" + name, pulse)


@pytest.mark.parametrize(
    "name", [b"", b"nonsense", b"one:7", b"one:seven:a", b"\xff\xfe:7:a", b"one:" + b"7" * 5000 + b":a"]
)
async def test_a_name_that_is_none_is_not_heard_of(redis: Redis, name: bytes) -> None:
    """Whatever its pulse says, and it harms no other; without a pulse it is taken out, and is nobody who was lost."""
    await beat(redis, ONE, Pulse(1, 0.1), ttl_s=60)
    await told(redis, name, msgspec.msgpack.encode(Pulse(5, 0.5)))

    assert await heard(redis) == Heard({ONE: Pulse(1, 0.1)}, unreadable=frozenset([name]))
    await redis.delete(b"snapsurge:worker:" + name)
    assert await heard(redis) == Heard({ONE: Pulse(1, 0.1)})
    assert await redis.smembers("snapsurge:workers") == {ONE.encode()}


@pytest.mark.parametrize(
    "pulse",
    [
        b"",
        b"\xc1",
        b'{"jobs_done":1,"busy_s":0.1}',
        b"\x81\xa1x" + b"\x91" * 100_000,
        *(
            msgspec.msgpack.encode({"jobs_done": jobs_done, "busy_s": busy_s, "running": running})
            for jobs_done, busy_s, running in [
                ("many", 0.1, 0),
                (-1, 0.1, 0),
                (2**63, 0.1, 0),
                (1, float("nan"), 0),
                (1, float("inf"), 0),
                (1, 0.1, -1),
            ]
        ),
    ],
    ids=lambda raw: repr(raw[:60]),
)
async def test_a_pulse_that_cannot_be_is_not_heard(redis: Redis, pulse: bytes) -> None:
    """Bytes of another form, numbers that no worker counts to; its worker is heard again by the next that can be."""
    await beat(redis, ONE, Pulse(1, 0.1), ttl_s=60)
    await told(redis, OTHER.encode(), pulse)

    assert await heard(redis) == Heard({ONE: Pulse(1, 0.1)}, unreadable=frozenset([OTHER.encode()]))
    await beat(redis, OTHER, Pulse(3, 0.3), ttl_s=60)
    assert await heard(redis) == Heard({ONE: Pulse(1, 0.1), OTHER: Pulse(3, 0.3)})


async def test_who_was_unreadable_and_is_gone_was_lost(redis: Redis) -> None:
    """Its name is a worker's, whatever its last word was."""
    await told(redis, ONE.encode(), b"\xc1")
    assert await heard(redis) == Heard(unreadable=frozenset([ONE.encode()]))
    await redis.delete(f"snapsurge:worker:{ONE}")

    assert await heard(redis) == Heard(lost=[ONE])


async def test_a_pulse_from_before_the_clock_was_set_back_is_of_a_lost_worker(redis: Redis) -> None:
    """It lives longer than any that is left now; the worker that is alive leaves another, and is heard again."""
    await beat(redis, ONE, Pulse(1, 0.1), ttl_s=3)
    await redis.pexpire("snapsurge:worker:" + ONE, 602_000)
    assert await heard(redis) == Heard(lost=[ONE])
    await beat(redis, ONE, Pulse(2, 0.1), ttl_s=3)
    assert await heard(redis) == Heard(fresh={ONE: Pulse(2, 0.1)})
