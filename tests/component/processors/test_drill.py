"""processors.drill: no-op jobs through the real claim on a real Redis, as the bench starts it."""

import asyncio
import time

import pytest
from redis.asyncio import Redis

from processors import drill
from storage.queue.jobs import Queue


def report() -> drill.Report:
    """An empty one."""
    return drill.Report(time.monotonic(), time.monotonic())


async def test_every_job_is_done_once(redis: Redis, redis_url: str) -> None:
    """Three workers leave nothing ready, leased or deferred."""
    filled, worked = report(), report()
    await drill.fill(redis_url, 600, filled)
    assert (filled.done, (await Queue(redis).depth()).ready) == (600, 600)
    await drill.work(redis_url, 3, worked, hold=False)

    assert worked.done == 600
    depth = await Queue(redis).depth()
    assert (depth.ready, depth.leased, depth.deferred) == (0, 0, 0)


async def test_a_held_job_stays_leased(redis: Redis, redis_url: str) -> None:
    """It is claimed and never ends."""
    await drill.fill(redis_url, 1, report())
    holding = asyncio.get_running_loop().create_task(drill.work(redis_url, 1, report(), hold=True))
    while not (await Queue(redis).depth()).leased:
        pass

    assert not holding.done()
    holding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await holding
