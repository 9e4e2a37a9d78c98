"""The bell on a real Redis: who enqueues wakes who waits, and what is left in it wakes nobody for long."""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from storage.keys import BELL_KEY
from storage.queue.bell import ring, rung
from storage.queue.claims import Claims, Room
from storage.queue.jobs import Job, Queue, jobs_of
from storage.queue.lease import Again, Attempts


async def test_a_new_job_wakes_one_worker(redis: Redis) -> None:
    """Of two that wait, one hears it; the other hears nothing until its time is over."""
    async with asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(rung(redis, 1, patience_s=20)) for _ in range(2)]
        while (await redis.info("clients"))["blocked_clients"] < 2:
            pass
        await Queue(redis).enqueue(jobs_of("m", "p"))

    assert sorted(one.result() for one in waiting) == [False, True]


async def test_an_entry_that_came_before_the_wait_counts(redis: Redis) -> None:
    """No wake-up is lost between a claim that found nothing and the wait."""
    await ring(redis)

    assert await rung(redis, 60, patience_s=20)


async def test_entries_are_bounded(redis: Redis) -> None:
    """One for about two jobs, and no more than 64 for any number."""
    await Queue(redis).enqueue([job for number in range(10) for job in jobs_of("m", f"p{number}")])
    assert await redis.llen(BELL_KEY) == 10
    await Queue(redis).enqueue([Job("render_pair", "m", f"q{number}") for number in range(1000)])

    assert await redis.llen(BELL_KEY) == 64


async def test_a_job_that_is_handed_back_rings_and_a_deferred_one_does_not(redis: Redis) -> None:
    """The first is ready at once."""
    claims = Claims(redis, 60)
    await Queue(redis).enqueue([Job("render_pair", "m", one) for one in "ab"])
    first, second = await claims.claim("w:1", 2)
    await redis.delete(BELL_KEY)

    await claims.settle([Again(first, Attempts(outages=1), 60.0)])
    assert await redis.llen(BELL_KEY) == 0
    await claims.settle([Again(second, Attempts())])
    assert await redis.llen(BELL_KEY) == 1


async def test_a_claim_that_finds_nothing_empties_the_bell(redis: Redis) -> None:
    """Each entry that is left would cost another such claim; one that found something leaves them."""
    claims = Claims(redis, 60)
    await Queue(redis).enqueue([Job("render_pair", "m", f"p{number}") for number in range(4)])
    await claims.claim("w:1", 3)
    assert await redis.llen(BELL_KEY) == 2
    await claims.claim("w:2", 3)
    assert (await claims.settle_and_claim("w:3", Room(3))).claimed == []

    assert await redis.llen(BELL_KEY) == 0


async def test_a_redis_that_hangs_is_an_error(redis_server: Callable[[], AbstractContextManager[str]]) -> None:
    """Its silence is no "nothing was enqueued"; the connection is not used again."""
    with redis_server() as url:
        async with Redis.from_url(url) as own:
            pid = (await own.info("server"))["process_id"]
            os.kill(pid, signal.SIGSTOP)
            try:
                with pytest.raises(RedisError, match="BLPOP"):
                    await rung(own, 0.05, patience_s=0.05)
            finally:
                os.kill(pid, signal.SIGCONT)
            await ring(own)
            assert await rung(own, 60, patience_s=20)
