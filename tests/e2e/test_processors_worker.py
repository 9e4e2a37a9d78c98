"""One worker as a real process on a real Redis: rendering, draining, outages."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storage.queue.jobs import QUEUES
from tests.e2e.test_processors_harness import Stack, running, until

pytestmark = pytest.mark.e2e


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """An empty stack."""
    async with running(tmp_path) as made:
        yield made


async def test_a_worker_renders_what_is_queued(stack: Stack) -> None:
    """From the queue to ready posts, and out with 0 on SIGTERM."""
    posts = await stack.post(8)
    worker = stack.start()

    await stack.all_ready(posts)

    worker.terminate()
    assert worker.wait(20) == 0


async def test_sigterm_finishes_what_runs_and_leaves_the_rest(stack: Stack) -> None:
    """Exit 0, no lock left, nothing half done: each post is ready or still queued, and a second worker ends it."""
    posts = await stack.post(20)
    worker = stack.start()

    async def some_ready() -> bool:
        return await stack.ready(posts) >= 2

    await until(some_ready, stack.log)
    worker.terminate()
    assert worker.wait(20) == 0

    left = {one.decode() for queue in QUEUES for one in await stack.redis.zrange(queue, 0, -1)}
    assert len(left) > 0
    assert not await stack.redis.exists("snapsurge:leases")
    renders = {one.split(":")[1] for one in left if one.startswith("render_pair:")}
    assert await stack.ready([one for one in posts if one not in renders]) == len(posts) - len(renders)
    assert await stack.ready(sorted(renders)) == 0
    stack.start()
    await stack.all_ready(posts)


async def test_a_worker_survives_a_restart_of_redis(stack: Stack) -> None:
    """Redis is killed in the middle and comes back seconds later: the same process finishes every job."""
    posts = await stack.post(20)
    worker = stack.start(job_timeout_s=2, render_timeout_s=2)

    async def some_ready() -> bool:
        return await stack.ready(posts) >= 2

    await until(some_ready, stack.log)
    stack.kill_redis()
    await asyncio.sleep(3)
    assert worker.poll() is None
    await stack.start_redis()

    await stack.all_ready(posts)
    assert worker.poll() is None
    worker.terminate()
    assert worker.wait(20) == 0
