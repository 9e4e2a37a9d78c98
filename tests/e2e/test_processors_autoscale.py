"""The autoscaler and its workers as real processes: growing, falling, being killed, and nobody left behind."""

import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import psutil
import pytest

from storage.index import Index
from storage.queue.jobs import FLAGS, ON_TIME
from tests.e2e.test_processors_harness import QUICK, Stack, children, running, until
from tests.ports import free_port

pytestmark = pytest.mark.e2e


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """An empty stack."""
    async with running(tmp_path) as made:
        yield made


async def test_the_autoscaler_follows_the_queue(stack: Stack) -> None:
    """Two workers for a backlog, one when it is done; `/workers` and `/metrics` tell; SIGTERM ends them all."""
    assert stack.moment
    listen = f"127.0.0.1:{free_port()}"
    scaler = stack.start(
        "autoscale", "--workers-min", "1", autoscaler_listen=listen, warm_lead_s=0, workers_warm=1, **QUICK
    )

    async def workers(count: int) -> bool:
        return len(children(scaler)) == count

    await until(lambda: workers(1), stack.log)
    posts = await stack.post(40)
    await until(lambda: workers(2), stack.log)
    async with aiohttp.ClientSession() as session:
        async with session.get(f"http://{listen}/workers") as answer:
            told = {one["pid"] for one in json.loads(await answer.text())["workers"]}
        async with session.get(f"http://{listen}/metrics") as answer:
            assert "snapsurge_workers_desired 2.0" in await answer.text()
    assert told == {one.pid for one in children(scaler)}
    await stack.all_ready(posts)
    await until(lambda: workers(1), stack.log)

    left = children(scaler)
    scaler.terminate()
    assert scaler.wait(20) == 0
    assert not [one for one in left if one.is_running()]


async def test_killing_the_autoscaler_leaves_no_worker(stack: Stack) -> None:
    """Its workers learn of its end by themselves, and finish what they run."""
    scaler = stack.start("autoscale", "--workers-min", "2", **QUICK)

    async def two() -> bool:
        return len(children(scaler)) == 2

    await until(two, stack.log)
    workers = children(scaler)
    posts = await stack.post(4)
    scaler.kill()
    scaler.wait()

    async def gone() -> bool:
        return not [one for one in workers if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]

    await until(gone, stack.log)
    assert not await stack.redis.keys("arq:in-progress:*")
    stack.start()
    await stack.all_ready(posts)


async def test_killed_workers_are_replaced_and_lose_nothing(stack: Stack) -> None:
    """kill -9 of every worker in the middle of a backlog: the autoscaler starts others, every post becomes ready."""
    posts = await stack.post(30)
    scaler = stack.start("autoscale", "--workers-min", "2", job_timeout_s=2, render_timeout_s=2, **QUICK)

    async def some_ready() -> bool:
        return await stack.ready(posts) >= 3

    await until(some_ready, stack.log)
    killed = children(scaler)
    for one in killed:
        os.kill(one.pid, signal.SIGKILL)

    await stack.all_ready(posts)
    assert {one.pid for one in killed}.isdisjoint({one.pid for one in children(scaler)})


async def test_an_emptied_redis_is_refilled_by_the_autoscaler(stack: Stack) -> None:
    """FLUSHALL in the middle of a backlog: the sweep queues what is unfinished, and everything becomes ready."""
    posts = await stack.post(30)
    stack.start("autoscale", sweep_every_s=0.5, **QUICK)

    async def some_ready() -> bool:
        return await stack.ready(posts) >= 3

    await until(some_ready, stack.log)
    await stack.redis.flushall()

    async def everything() -> bool:
        return await stack.ready(posts) == len(posts)

    await until(everything, stack.log)


async def test_one_of_two_decides_and_is_followed_when_killed(stack: Stack) -> None:
    """Neither starts workers; both tell the elected one's decision; after kill -9 the other one decides."""
    await stack.post(40)
    listens = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    first, second = (
        stack.start("autoscale", "--decide-only", autoscaler_listen=one, warm_lead_s=0, workers_warm=1, **QUICK)
        for one in listens
    )
    async with aiohttp.ClientSession() as session:

        async def told(listen: str) -> tuple[int, int]:
            """Workers desired, and whether this one decides; -1 while it knows no decision or does not listen yet."""
            try:
                async with session.get(f"http://{listen}/v1/scaling") as answer:
                    desired = (await answer.json())["desired"] if answer.status == 200 else -1
                async with session.get(f"http://{listen}/metrics") as answer:
                    return desired, "snapsurge_autoscaler_elected 1.0" in await answer.text()
            except aiohttp.ClientError:
                return -1, False

        async def one_decides() -> bool:
            return sorted([await told(one) for one in listens]) == [(2, False), (2, True)]

        await until(one_decides, stack.log)
        elected = [(await told(one))[1] for one in listens].index(True)
        (first, second)[elected].kill()

        async def other_decides() -> bool:
            return await told(listens[1 - elected]) == (2, True)

        await until(other_decides, stack.log)
    assert children((first, second)[1 - elected]) == []


async def test_a_summary_is_right_after_flushall_by_the_sweeper_alone(stack: Stack) -> None:
    """No job runs and nobody asks for it: the index has every post and complete counts again."""
    posts = await stack.post(5)
    assert stack.moment
    await stack.redis.flushall()
    stack.start("autoscale", "--decide-only", sweep_every_s=0.5, **QUICK)
    index, moment_id = Index(stack.redis), stack.moment.id

    async def counted() -> bool:
        counts = await index.counts(moment_id)
        return counts is not None and (counts.accepted, counts.pending) == (5, 5)

    await until(counted, stack.log)
    assert sorted(post.id for post in await index.posts(posts) if post) == sorted(posts)
    assert [await stack.redis.zcard(queue) for queue in (FLAGS, ON_TIME)] == [5, 5]


async def test_stopped_workers_are_replaced(stack: Stack) -> None:
    """SIGSTOP of every worker: they give no pulse, so the autoscaler kills them, and others do their jobs."""
    scaler = stack.start("autoscale", "--workers-min", "2", **QUICK)
    posts = await stack.post(6)
    await stack.all_ready(posts)
    stopped = children(scaler)
    assert len(stopped) == 2
    for one in stopped:
        one.suspend()
    more = await stack.post(6, first=6)

    await stack.all_ready([*posts, *more])
    assert {one.pid for one in stopped}.isdisjoint({one.pid for one in children(scaler)})
    assert "sent no pulse for" in stack.log()
