"""One worker on a real Redis: what it runs, how it stops, what it gives back, how it outlives Redis."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Self

import msgspec
import pytest
from redis.asyncio import Redis

from processors.batched import BatchedIndex
from processors.config import Config
from processors.functions import functions
from processors.scaling.pulse import Pulse
from processors.worker import JobWorker, Stuck
from storage.config import Config as StorageConfig
from storage.index import Index, Observed, Report
from storage.opening import redis_client, shard_clients
from storage.queue.jobs import QUEUES, Job
from storage.records import Post

QUICK = Config(poll_s=0.001, pulse_s=0.001)


class Played:
    """Jobs that do what a test says, and tell that they were called."""

    def __init__(self, render: Callable[[], Awaitable[object]] | None = None) -> None:
        self.called: list[str] = []
        self.any = asyncio.Event()
        self.stuck = False
        self._render = render

    async def render_pair(self, moment_id: str, post_id: str, **_: object) -> None:
        """Plays the render."""
        self.called.append(f"render_pair:{post_id}:{moment_id}")
        self.any.set()
        if self._render:
            await self._render()

    async def flag_late(self, moment_id: str, post_id: str, **_: object) -> None:
        """Plays the flag."""
        self.called.append(f"flag_late:{post_id}:{moment_id}")


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Look until it is so."""
    async with asyncio.timeout(20):
        while not await condition():  # noqa: ASYNC110 - what is looked at is in Redis or in a log
            await asyncio.sleep(0)


def opened(redis_url: str) -> dict[str, Redis]:
    """The clients of a worker with one Redis."""
    config = StorageConfig(redis_url=redis_url)
    return shard_clients(config, redis_client(config))


class Working:
    """A worker in this process, until left; leaving stops it and waits."""

    def __init__(self, redis_url: str, jobs: Any, world: Any, config: Config = QUICK) -> None:
        self.clients = opened(redis_url)
        self.stop = asyncio.Event()
        self.worker = JobWorker(
            config,
            next(iter(self.clients.values())),
            self.clients,
            functions(jobs, config.degrade_s),
            world.metrics,
            stuck=lambda: bool(getattr(jobs, "stuck", False)),
        )
        self.tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        await self.tasks.__aenter__()
        self.task = self.tasks.create_task(self.worker.run_until(self.stop))
        return self

    async def __aexit__(self, *error: object) -> None:
        self.stop.set()
        await self.tasks.__aexit__(None, None, None)
        for client in self.clients.values():
            await client.aclose()


async def empty(redis: Redis) -> bool:
    """Whether nothing of arq is left."""
    return not await redis.keys("arq:*") and not await redis.exists("snapsurge:leases", "snapsurge:attempts")


async def test_queued_jobs_run_and_leave_nothing_behind(world: Any, redis: Redis, redis_url: str) -> None:
    """Both jobs of real posts are done; arq keeps neither body nor result, so an id can be queued again."""
    posts = [await world.post(user) for user in ("ann", "bob", "cid")]
    await world.enqueue(*posts)

    async with Working(redis_url, world.jobs(), world):
        await until(lambda: empty(redis))

    assert await world.counted() == {"accepted": 3, "on_time": 3, "ready": 3}
    assert await world.enqueue(*posts) == 6


async def test_a_failing_job_comes_back_and_is_kept_in_the_end(world: Any, redis: Redis, redis_url: str) -> None:
    """arq sees Retry, not the error; after the last try the queue is empty and the letter is there."""

    async def broken() -> None:
        raise ValueError("a bug")

    jobs = Played(broken)
    await world.enqueue("x")

    config = msgspec.structs.replace(QUICK, retry_floor_s=0.001, retry_cap_s=0.002, faults_max=3)
    async with Working(redis_url, jobs, world, config):
        await until(lambda: empty(redis))

    assert [one for one in jobs.called if one.startswith("render")] == [f"render_pair:x:{world.moment_id}"] * 3
    assert await redis.hkeys("snapsurge:dead") == [b"render_pair:x"]


async def test_a_stop_finishes_what_runs_and_claims_nothing(world: Any, redis: Redis, redis_url: str) -> None:
    """The running job ends as done, the others stay queued, and the worker is through."""
    release = asyncio.Event()
    jobs = Played(release.wait)
    config = msgspec.structs.replace(QUICK, jobs_max=1)
    await world.queue.enqueue(_renders(world, 5))

    async with Working(redis_url, jobs, world, config) as working:
        await jobs.any.wait()
        working.stop.set()
        await asyncio.sleep(0)
        assert not working.task.done()
        release.set()
        await working.task

    assert len(jobs.called) == 1
    assert len(await world.queued()) == 4
    assert not await redis.exists("snapsurge:leases", "snapsurge:attempts")


async def test_what_outlasts_the_grace_goes_back_to_the_queue(world: Any, redis: Redis, redis_url: str) -> None:
    """A job that does not end is cancelled, unlocked and still queued."""
    jobs = Played(asyncio.Event().wait)
    config = msgspec.structs.replace(QUICK, drain_s=0.01)
    await world.queue.enqueue(_renders(world, 1))

    async with Working(redis_url, jobs, world, config):
        await jobs.any.wait()

    assert len(await world.queued()) == 1
    assert not await redis.exists("snapsurge:leases", "snapsurge:attempts")


async def test_a_worker_that_cannot_render_any_more_ends(world: Any, redis_url: str) -> None:
    """It is told from a stop: the process is to be replaced."""
    jobs = Played()
    jobs.stuck = True
    clients = opened(redis_url)

    worker = JobWorker(
        QUICK,
        next(iter(clients.values())),
        clients,
        functions(jobs, QUICK.degrade_s),  # type: ignore[arg-type]
        world.metrics,
        stuck=lambda: bool(getattr(jobs, "stuck", False)),
    )
    with pytest.raises(Stuck):
        await worker.run_until(asyncio.Event())
    for client in clients.values():
        await client.aclose()


async def test_the_pulse_tells_what_was_done(world: Any, redis: Redis, redis_url: str) -> None:
    """The autoscaler finds jobs done and time spent, and the key ends by itself."""
    await world.enqueue(await world.post())

    async def told() -> bool:
        found = [await redis.get(key) for key in await redis.keys("snapsurge:worker:*")]
        pulses = [msgspec.msgpack.decode(one, type=Pulse) for one in found if one]
        return any(pulse.jobs_done == 2 and pulse.busy_s > 0 for pulse in pulses)

    async with Working(redis_url, world.jobs(), world, msgspec.structs.replace(QUICK, pulse_s=0.05)):
        await until(told)

    assert all([await redis.pttl(key) != -1 for key in await redis.keys("snapsurge:worker:*")])


async def test_without_redis_it_waits_and_can_be_stopped(
    world: Any, free_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    """It neither ends nor fills the log, and a stop does not wait for Redis."""

    async def warned() -> bool:
        return "is unavailable" in caplog.text

    async with Working(f"redis://127.0.0.1:{free_port}/0", Played(), world) as working:
        await until(warned)
        assert not working.task.done()

    assert working.task.done()
    assert caplog.text.count("is unavailable") == 1


async def test_connections_that_break_are_ridden_out(world: Any, redis: Redis, redis_url: str) -> None:
    """Redis closing every connection again and again costs no job."""
    posts = [await world.post(f"user {number}") for number in range(10)]
    await world.enqueue(*posts)

    async with Working(redis_url, world.jobs(), world, msgspec.structs.replace(QUICK, job_timeout_s=2)):
        for _ in range(20):
            await redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            await asyncio.sleep(0)
        await until(lambda: empty(redis))

    assert await world.counted() == {"accepted": 10, "on_time": 10, "ready": 10}


def _renders(world: Any, count: int) -> list[Job]:
    return [Job("render_pair", world.moment_id, f"post-{number}") for number in range(count)]


async def test_reports_of_a_backlog_share_their_calls(world: Any, redis: Redis, redis_url: str) -> None:
    """Jobs wait without a slot until the worker has none left, and are settled after their report was answered."""
    posts = [await world.post(f"user {number}") for number in range(12)]
    await world.enqueue(*posts)
    for queue in QUEUES:
        for job, score in await redis.zrange(queue, 0, -1, withscores=True):
            await redis.zadd(queue, {job: score - 10_000})  # they have waited for ten seconds
    told: list[int] = []

    class Told(Index):
        async def observe(self, reports: Sequence[Report]) -> list[Observed]:
            told.append(sum(one.post.state == "ready" for one in reports))
            return await super().observe(reports)

    async with BatchedIndex(Told(redis)) as index, Working(redis_url, world.jobs(index=index), world):
        await until(lambda: empty(redis))

    assert sum(told) == 12
    assert max(told) > 2  # more than the slots
    assert await world.counted() == {"accepted": 12, "on_time": 12, "ready": 12}


async def test_a_worker_that_ends_before_its_reports_loses_nothing(world: Any, redis: Redis, redis_url: str) -> None:
    """The pictures are stored, but no job is settled: another worker runs all again, and each post is counted once."""
    posts = [await world.post(f"user {number}") for number in range(6)]
    await world.enqueue(*posts)

    class Mute(BatchedIndex):
        async def observe(self, post: Post, stamp: str = "") -> Observed:
            return await asyncio.get_running_loop().create_future()

    async def stored() -> bool:
        return any([await world.record(one) is not None for one in posts])

    config = msgspec.structs.replace(QUICK, drain_s=0.01)
    async with Mute(Index(redis)) as mute, Working(redis_url, world.jobs(index=mute), world, config):
        await until(stored)
    assert len(await world.queued()) == 12
    assert await world.counted() == {"accepted": 6, "pending": 6}

    async with BatchedIndex(Index(redis)) as index, Working(redis_url, world.jobs(index=index), world):
        await until(lambda: empty(redis))

    assert await world.counted() == {"accepted": 6, "on_time": 6, "ready": 6}
