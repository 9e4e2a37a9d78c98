"""bench.peers.saq_jobs: saq on a real Redis."""

import pytest
from redis.asyncio import Redis

from bench.peers import drill, saq_jobs


@pytest.mark.filterwarnings("ignore")  # saq's own
async def test_every_job_is_done_once(redis: Redis, redis_url: str) -> None:
    """What was queued is worked off by several workers."""
    await saq_jobs.fill(redis_url, 40)
    assert await redis.dbsize() >= 40
    tally = drill.Tally()
    await saq_jobs.work(redis_url, 3, tally)

    assert tally.done == 40
