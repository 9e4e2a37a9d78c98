"""bench.peers.arq_jobs: arq on a real Redis."""

import pytest
from redis.asyncio import Redis

from bench.peers import arq_jobs, drill


@pytest.mark.filterwarnings("ignore")  # arq's own
async def test_queued_jobs_are_done_once(redis: Redis, redis_url: str) -> None:
    """None twice. Not all: a stock burst has left some behind here, so the bench divides by what was done."""
    await arq_jobs.fill(redis_url, 40)
    assert await redis.dbsize() >= 40
    tally = drill.Tally()
    await arq_jobs.work(redis_url, 1, tally)

    assert 0 < tally.done <= 40
