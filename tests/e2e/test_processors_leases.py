"""Workers that die, sleep or are killed by their jobs, and Redis that is emptied or half gone: no job is lost."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from deploy.servers import redis_command
from processors.letters import DeadLetters
from storage.keys import LEASES_KEY
from storage.queue.jobs import Job, Queue
from storage.queue.shards import Shards, home
from tests.e2e.test_processors_harness import ROOT, Stack, running, started, until
from tests.ports import free_port

pytestmark = pytest.mark.e2e

# A worker whose render of one post ends it at once, as a decoder that overruns its memory would.
DEADLY = """
import asyncio, os, signal, sys
from arq.worker import func
from processors.config import Config
from processors.metrics import Metrics
from processors.worker import JobWorker
from redis.asyncio import Redis
from tests.ports import free_port

async def render_pair(context, moment_id, post_id):
    if post_id == "deadly":
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    redis = Redis.from_url(sys.argv[1])
    functions = [func(render_pair, name="render_pair")]
    worker = JobWorker(Config(lease_s=0.5, jobs_max=1), redis, {"one": redis}, functions, Metrics())
    await worker.run_until(asyncio.Event())

asyncio.run(main())
"""


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """An empty stack."""
    async with running(tmp_path) as made:
        yield made


async def test_the_jobs_of_a_killed_worker_run_elsewhere(stack: Stack) -> None:
    """Killed in mid-render: its lease stays behind, ends, is claimed by the other one, and the lapse is counted."""
    posts = await stack.post(10)
    victim = stack.start(lease_s=1)
    job = await stack.leased_by(victim)
    victim.kill()
    victim.wait()
    assert await stack.redis.hexists(LEASES_KEY, job) or await stack.ready([job.partition(":")[2]])
    held = await stack.redis.hlen(LEASES_KEY)
    assert held > 0

    stack.start(lease_s=1)
    await stack.all_ready(posts)
    assert await stack.counted("lapsed") == held


async def rendered_only(stack: Stack, posts: list[str]) -> list[str]:
    """Those of these posts that have their renditions, and that Redis knows as accepted."""
    states = await stack.index.states(posts)
    waiting = [post_id for post_id, state in zip(posts, states, strict=True) if state == "accepted"]
    return [post_id for post_id in waiting if await stack.ready([post_id])]


async def test_pairs_whose_reports_waited_in_a_killed_worker_are_ready_once(stack: Stack) -> None:
    """It has one slot, so of two that are rendered and not reported, one waits for others (reporting.py)."""
    posts = await stack.post(24)
    victim = stack.start(lease_s=1, jobs_max=1)

    async def waits() -> bool:
        if len(await rendered_only(stack, posts)) < 2:
            return False
        victim.send_signal(signal.SIGSTOP)
        there = len(await rendered_only(stack, posts)) >= 2
        if not there:
            victim.send_signal(signal.SIGCONT)
        return there

    await until(waits, stack.log)
    unreported, held = await rendered_only(stack, posts), await stack.redis.hlen(LEASES_KEY)
    before = [await stack.record(post_id) for post_id in unreported]
    victim.kill()
    victim.wait()

    stack.start(lease_s=1)
    await stack.all_ready(posts)
    assert [await stack.record(post_id) for post_id in unreported] == before
    assert await stack.counted("lapsed") == held >= len(unreported)


async def test_a_worker_that_was_believed_dead_is_fenced(stack: Stack) -> None:
    """Stopped past its lease and woken: its jobs ran elsewhere, its settlements are refused, nothing counts twice."""
    posts = await stack.post(10)
    zombie = stack.start(lease_s=1)

    async def runs() -> bool:
        return await stack.counted("finished") > 0  # it has the answer of its first claim

    await until(runs, stack.log)
    await stack.leased_by(zombie)
    zombie.send_signal(signal.SIGSTOP)
    held = await stack.redis.hlen(LEASES_KEY)
    assert held > 0
    assert await stack.counted("refused") == 0

    heir = stack.start(lease_s=1)
    await stack.all_ready(posts)
    assert await stack.counted("lapsed") == held
    zombie.send_signal(signal.SIGCONT)

    async def refused() -> bool:
        return await stack.counted("refused") >= held

    await until(refused, stack.log)
    await stack.all_ready(posts)
    for worker in (zombie, heir):
        worker.terminate()
        assert worker.wait(20) == 0


async def test_a_job_that_kills_its_workers_is_quarantined(stack: Stack) -> None:
    """Two workers die of it; the third keeps it as poison and does the others."""
    jobs = [Job("render_pair", "m", "deadly"), Job("render_pair", "m", "harmless")]
    await Queue(stack.redis).enqueue(jobs)

    def worker() -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-c", DEADLY, f"redis://127.0.0.1:{stack.port}/0"]
        stack.processes.append(subprocess.Popen(command, cwd=ROOT))
        return stack.processes[-1]

    for _ in range(2):
        assert await asyncio.to_thread(worker().wait, 60) == -signal.SIGKILL
    survivor = worker()

    async def finished() -> bool:
        return await stack.counted("finished") == await stack.counted("dead") == 1

    await until(finished)
    assert survivor.poll() is None
    (letter,) = await DeadLetters(stack.redis).all()
    assert (letter.id, letter.reason, letter.tries) == (jobs[0].id, "poison", 2)


async def test_an_emptied_redis_is_rebuilt_in_the_middle_of_work(stack: Stack) -> None:
    """FLUSHALL while jobs run: the sweeper alone queues what is missing, and every post gets ready."""
    posts = await stack.post(12)
    worker = stack.start()
    await stack.leased_by(worker)
    await stack.redis.flushall()
    missing = len(posts) - await stack.ready(posts)
    assert missing > 0

    assert await asyncio.to_thread(stack.start("sweep").wait, 60) == 0
    await stack.all_ready(posts)
    assert worker.poll() is None


async def test_losing_one_of_two_queues_costs_its_backlog_alone(stack: Stack, tmp_path: Path) -> None:
    """Killed with its data: the other's jobs are done meanwhile, and the sweeper rebuilds the rest when it is back."""
    port = free_port()
    urls = [f"redis://127.0.0.1:{one}/0" for one in (stack.port, port)]
    names = [url.removeprefix("redis://") for url in urls]
    stack.extra["SNAPSURGE_SHARD_URLS"] = ",".join(urls)

    async def start_other(number: int) -> "subprocess.Popen[bytes]":
        folder = tmp_path / f"other-{number}"
        folder.mkdir()
        process = started(redis_command(port, folder))
        stack.processes.append(process)
        await until(lambda: answers(other))
        return process

    async with Redis(port=port) as other:
        process = await start_other(1)
        stack.queue = Shards(dict(zip(names, (stack.redis, other), strict=True)))
        posts = await stack.post(20)
        lost = [post for post in posts if home(post, names) == names[1]]
        assert 0 < len(lost) < len(posts)
        assert (await Queue(other).depth()).ready == 2 * len(lost)
        process.kill()
        process.wait()

        worker = stack.start()
        kept = [post for post in posts if post not in lost]

        async def kept_ready() -> bool:
            return await stack.ready(kept) == len(kept)

        await until(kept_ready, stack.log)
        assert await stack.ready(lost) == 0
        assert worker.poll() is None
        await start_other(2)
        assert await asyncio.to_thread(stack.start("sweep").wait, 60) == 0
        await stack.all_ready(posts)


async def answers(redis: Redis) -> bool:
    """Whether it is there."""
    try:
        return bool(await redis.ping())
    except (RedisError, OSError):
        return False
