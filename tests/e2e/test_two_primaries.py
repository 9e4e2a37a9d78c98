"""Two primaries for some seconds: every job is claimed, run and settled on both, and nothing shows it afterwards."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from storage.index import Index
from storage.keys import DEAD_KEY, LEASES_KEY
from storage.posts import Posts
from storage.queue.claims import Claims
from storage.queue.jobs import QUEUES, Queue
from storage.queue.lease import Again
from tests.e2e.test_processors_harness import Stack, running, until

pytestmark = pytest.mark.e2e

PAIRS = 6


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """A store, a Redis, pairs to render."""
    async with running(tmp_path) as made:
        yield made


async def test_two_claims_of_every_job_are_harmless(
    stack: Stack, redis_server: Callable[[], AbstractContextManager[str]]
) -> None:
    """A replica was promoted while its primary went on: workers of both do the same jobs, and all counts are right."""
    with redis_server() as url:
        async with Redis.from_url(url) as other:
            await other.replicaof("127.0.0.1", stack.port)
            posts = await stack.post(PAIRS)

            async def replicated() -> bool:
                return [await other.zcard(one) for one in QUEUES] == [await stack.redis.zcard(one) for one in QUEUES]

            await until(replicated)
            await other.replicaof("NO", "ONE")
            both = (stack.redis, other)

            # The same jobs are leased at the same time by two workers, of which neither is refused.
            held = [await Claims(redis, 60).claim(f"worker-{n}:1", 100) for n, redis in enumerate(both)]
            assert [one.id for one in held[0]] == [one.id for one in held[1]]
            assert len(held[0]) == 2 * PAIRS
            assert await other.hlen(LEASES_KEY) == 2 * PAIRS
            for redis, mine in zip(both, held, strict=True):
                assert all(await Claims(redis, 60).settle([Again(one, one.attempts) for one in mine]))

            stack.start()
            stack.extra = {"SNAPSURGE_REDIS_URL": url}
            stack.start()

            async def done() -> bool:
                left = [await redis.exists(*QUEUES) for redis in both]
                return await stack.ready(posts) == PAIRS and not any(left)

            await until(done, stack.log)
            assert stack.moment
            for redis in both:
                assert (await Queue(redis).depth()).counted["finished"] == 2 * PAIRS
                assert not await redis.exists(DEAD_KEY, LEASES_KEY)
                counts = await Posts(stack.store, Index(redis)).counts(stack.moment.id)
                assert (counts.accepted, counts.ready, counts.on_time, counts.pending) == (PAIRS, PAIRS, PAIRS, 0)
            media = [entry.key async for entry in stack.store.list("") if "/media/" in entry.key]
            assert len(media) == PAIRS
