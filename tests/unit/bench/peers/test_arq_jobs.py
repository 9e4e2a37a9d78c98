"""bench.peers.arq_jobs: arq on a real Redis."""

import pytest
from redis.asyncio import Redis

from bench.peers import arq_jobs, drill


@pytest.mark.filterwarnings("ignore")  # arq's own
async def test_every_job_is_done_once(redis: Redis, redis_url: str) -> None:
    """What was queued is worked off; by one worker, because arq's bursts of several may leave one behind."""
    await arq_jobs.fill(redis_url, 40)
    assert await redis.dbsize() >= 40
    tally = drill.Tally()
    await arq_jobs.work(redis_url, 1, tally)

    assert tally.done == 40
