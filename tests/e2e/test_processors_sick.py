"""A worker that cannot do its work, as a real process under real limits: others do the jobs, none is given up."""

import resource
from collections.abc import AsyncIterator
from pathlib import Path
from subprocess import Popen

import psutil
import pytest

from tests.e2e.test_processors_harness import Stack, running, until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux changes the limits of another process"),
]


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """An empty stack."""
    async with running(tmp_path) as made:
        yield made


async def ready_worker(stack: Stack, *, first: int) -> "Popen[bytes]":
    """A worker that has rendered a pair."""
    worker = stack.start()
    await stack.all_ready(await stack.post(1, first=first)) if not first else None

    async def renders() -> bool:
        return bool(psutil.Process(worker.pid).children())

    await until(renders, stack.log)
    return worker


def limit(worker: "Popen[bytes]", what: int, size: int) -> None:
    """Put a limit on a worker and its renderer."""
    for pid in (worker.pid, *(one.pid for one in psutil.Process(worker.pid).children())):
        resource.prlimit(pid, what, (size, resource.RLIM_INFINITY))


async def test_a_sick_worker_leaves_the_jobs_to_others(stack: Stack) -> None:
    """One of two may write no more than 6,000 bytes: all posts become ready, nothing is dead, and the log says it."""
    sick = await ready_worker(stack, first=0)
    limit(sick, resource.RLIMIT_FSIZE, 6000)
    healthy = stack.start()
    posts = stack.ids(1)
    for batch in range(4):
        posts += await stack.post(8, first=1 + 8 * batch)
        await stack.all_ready(posts)

    assert "this worker is sick" in stack.log()
    assert (await stack.queue.depth()).dead == 0
    assert (sick.poll(), healthy.poll()) == (None, None)


async def test_jobs_wait_for_a_lone_sick_worker_and_run_when_it_is_well(stack: Stack) -> None:
    """Nothing is given up, flags are set meanwhile; when the limit is gone, a probe succeeds and everything is done."""
    worker = await ready_worker(stack, first=0)
    limit(worker, resource.RLIMIT_FSIZE, 6000)
    posts = await stack.post(6, first=1)

    async def sick() -> bool:
        return stack.log().count("this worker is sick") >= 3

    await until(sick, stack.log)
    assert (await stack.queue.depth()).dead == 0
    assert await stack.ready(posts) == 0
    assert all(post is not None and post.late is False for post in await stack.index.posts(posts))
    limit(worker, resource.RLIMIT_FSIZE, resource.RLIM_INFINITY)
    await stack.all_ready([*stack.ids(1), *posts])
    assert "this worker is no longer sick" in stack.log()


async def test_a_renderer_without_memory_is_replaced(stack: Stack) -> None:
    """The limit was the renderer's alone, so the next one renders."""
    worker = await ready_worker(stack, first=0)
    (renderer,) = psutil.Process(worker.pid).children()
    resource.prlimit(renderer.pid, resource.RLIMIT_DATA, (150 << 20, resource.RLIM_INFINITY))
    posts = await stack.post(6, first=1)

    await stack.all_ready([*stack.ids(1), *posts])
    assert (await stack.queue.depth()).dead == 0
    assert not renderer.is_running()
