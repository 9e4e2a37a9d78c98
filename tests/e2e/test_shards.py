"""Shards are added and removed while a moment runs: real workers of both sets, and nothing is lost or counted twice."""

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from deploy.servers import redis_command
from storage.index import Counts
from storage.queue.shards import Shards
from tests.e2e.test_processors_harness import Stack, running, started, until
from tests.e2e.test_processors_leases import answers
from tests.ports import free_port


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """Redis and a moment, nothing else."""
    async with running(tmp_path) as made:
        yield made


@pytest.fixture
async def other(stack: Stack, tmp_path: Path) -> AsyncIterator[Redis]:
    """A second Redis."""
    port, folder = free_port(), tmp_path / "other"
    folder.mkdir()
    stack.processes.append(started(redis_command(port, folder)))
    async with Redis(port=port) as client:
        await until(lambda: answers(client))
        yield client


def use(stack: Stack, *clients: Redis) -> None:
    """From now on, posts are reported to these shards, and programs are started with them."""
    names = [f"127.0.0.1:{client.connection_pool.connection_kwargs['port']}/0" for client in clients]
    stack.queue = Shards(dict(zip(names, clients, strict=True)))
    stack.extra["SNAPSURGE_SHARD_URLS"] = ",".join(f"redis://{name}" for name in names)


async def working(stack: Stack, worker: "subprocess.Popen[bytes]") -> bool:
    """Whether its pulse is there."""
    return bool(await stack.redis.keys(f"snapsurge:worker:*:{worker.pid}:*"))


async def stop(worker: "subprocess.Popen[bytes]") -> None:
    """As a rollout does."""
    worker.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(worker.wait, 60) == 0


async def settled(stack: Stack, posts: list[str]) -> None:
    """One sweep queues what is missing and recounts; then every post is ready, and the shards' counts say so."""
    assert stack.moment
    assert await asyncio.to_thread(stack.start("sweep").wait, 60) == 0
    await stack.all_ready(posts)
    assert await stack.index.counts(stack.moment.id) == Counts(
        accepted=len(posts), on_time=len(posts), ready=len(posts)
    )


async def test_a_shard_is_added_and_one_removed_while_a_moment_runs(stack: Stack, other: Redis) -> None:
    """Nodes and workers of the former set go on for a while; posts that nobody reported are found too."""
    use(stack, stack.redis)
    posts = await stack.post(8)
    former = stack.start()
    await stack.leased_by(former)

    use(stack, stack.redis, other)
    worker = stack.start()
    posts += await stack.post(8, first=8)
    await until(lambda: working(stack, worker), stack.log)
    use(stack, stack.redis)
    posts += await stack.post(8, first=16)  # by a node that was not restarted yet
    use(stack, stack.redis, other)
    posts += await stack.post(4, first=24, tell=False)
    await stop(former)
    await settled(stack, posts)
    assert await other.keys("snapsurge:post:*")

    posts += await stack.post(8, first=28)
    use(stack, other)
    last = stack.start()
    posts += await stack.post(4, first=36)
    await stop(worker)
    await settled(stack, posts)
    assert last.poll() is None
    assert len(await other.keys("snapsurge:post:*")) == len(posts)
