"""Claims on a real Redis that takes no writes: whoever waits there learns of it, and a full one is emptied."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError, ReadOnlyError

from storage.queue.claims import Claims
from storage.queue.jobs import ON_TIME, Queue, jobs_of
from storage.queue.lease import Done


async def test_a_demoted_primary_gives_no_jobs(redis_server: Callable[[], AbstractContextManager[str]]) -> None:
    """Even where it has none: who waits there must learn that others come elsewhere."""
    with redis_server() as url:
        async with Redis.from_url(url) as own:
            assert await Claims(own, 10).claim("w:1", 1) == []
            await own.replicaof("127.0.0.1", 1)
            with pytest.raises(ReadOnlyError):
                await Claims(own, 10).claim("w:2", 1)


async def test_a_full_redis_empties_itself(redis_server: Callable[[], AbstractContextManager[str]]) -> None:
    """Out of memory it takes no jobs, but those that it has are claimed, extended and settled, which frees memory."""
    with redis_server() as url:
        async with Redis.from_url(url) as own:
            await Queue(own).enqueue(jobs_of("m", "p"))
            await own.config_set("maxmemory", 1)
            with pytest.raises(OutOfMemoryError):
                await Queue(own).enqueue(jobs_of("m", "q"))
            claims = Claims(own, 10)
            claimed = await claims.claim("w:1", 10)
            assert len(claimed) == 2
            assert await claims.extend(claimed) == []
            assert await claims.settle([Done(one) for one in claimed]) == [True, True]
            assert await own.zcard(ON_TIME) == 0
