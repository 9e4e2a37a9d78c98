"""A client of a real Redis: within its pool, cancelled at every step, and while Redis hangs."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager

from redis.exceptions import RedisError

from storage.config import Config
from storage.opening import redis_client


async def test_a_redis_client_works_within_its_pool(redis_url: str) -> None:
    """It answers, and leaves no connection behind when it is closed."""
    client = redis_client(Config(redis_url=redis_url, redis_connections_max=1))
    try:
        assert await client.ping()
    finally:
        await client.aclose()


async def test_a_command_can_be_cancelled_at_every_step(redis_url: str) -> None:
    """Whenever the cancellation comes, it ends the task: none is lost while the bytes are handed over."""
    client = redis_client(Config(redis_url=redis_url))

    async def asking() -> None:
        while True:
            await client.ping()

    try:
        await client.ping()
        for steps in range(100):
            task = asyncio.get_running_loop().create_task(asking())
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task], timeout=10)
            assert task.cancelled(), f"lost after {steps} steps"
    finally:
        await client.aclose()


async def test_a_redis_that_hangs_ends_every_call_and_mixes_no_answers(
    redis_server: Callable[[], AbstractContextManager[str]],
) -> None:
    """Stopped with all connections in use and more calls waiting: each fails in its time; resumed, each has its own."""
    with redis_server() as url:
        client = redis_client(Config(redis_url=url, redis_connections_max=2, redis_timeout_s=0.3))
        pid = (await client.info("server"))["process_id"]
        os.kill(pid, signal.SIGSTOP)
        try:
            ended = await asyncio.gather(*(client.echo(f"lost {n}") for n in range(20)), return_exceptions=True)
            assert all(isinstance(one, RedisError) for one in ended), ended
        finally:
            os.kill(pid, signal.SIGCONT)
        answers: list[bytes] = []
        while len(answers) < 20:
            with contextlib.suppress(RedisError):  # it is busy with what was asked meanwhile
                answers.append(await client.echo(f"own {len(answers)}"))
        assert answers == [f"own {n}".encode() for n in range(20)]
        await client.aclose()
