"""lb.membership.sentinels: polls of the primary that Sentinels name; the text is that of storage.sentinels."""

import asyncio
import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ingest.heartbeat import Heartbeat
from ingest.heartbeat import Member as Said
from lb.config import Config
from lb.membership.heartbeats import Heartbeats, connect
from lb.membership.sentinels import AGAIN_S
from tests.fake_sentinel import FakeSentinel, address


async def test_polls_follow_the_primary(redis_server: Callable[[], AbstractContextManager[str]]) -> None:
    """One Sentinel hangs for ever; the primary is demoted and answers on; the next polls read the new one."""
    polls = Heartbeats(60_000)
    async with contextlib.AsyncExitStack() as stack:
        ports = [urlsplit(stack.enter_context(redis_server())).port or 0 for _ in range(2)]
        watching = [await stack.enter_async_context(FakeSentinel(ports[0])) for _ in range(3)]
        watching[0].mute = True
        old, new = [await stack.enter_async_context(Redis(port=port)) for port in ports]
        for client, name in ((old, "a"), (new, "b")):
            await Heartbeat(client, name, lambda: Said("h:1", 1, "z", "serving"), 1.0).beat()
        balancer = connect(Config(redis_url=address(*watching)))
        stack.push_async_callback(balancer.aclose)
        assert (await polls.poll(balancer)).changed.keys() == {"a"}

        await old.replicaof("127.0.0.1", ports[1])
        for one in watching:
            one.primary, one.epoch = ports[1], 2
        await asyncio.sleep(0)
        with pytest.raises(RedisError):
            await polls.poll(balancer)
        found = None
        while not found:  # at most `AGAIN_S`
            with contextlib.suppress(RedisError):
                found = await polls.poll(balancer)
        assert found.changed.keys() >= {"b"}
        assert AGAIN_S < 1


async def test_a_poll_through_sentinels_can_be_cancelled_at_every_step(redis_url: str) -> None:
    """Its caller bounds its time, also while the Sentinels are asked."""
    port = urlsplit(redis_url).port or 0
    async with FakeSentinel(port) as first, FakeSentinel(port) as second:
        client, polls = connect(Config(redis_url=address(first, second))), Heartbeats(2000)

        async def looking() -> None:
            while True:
                await client.connection_pool.disconnect()
                await polls.poll(client)

        for steps in range(0, 120, 2):
            task = asyncio.get_running_loop().create_task(looking())
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task], timeout=10)
            assert task.cancelled(), f"lost after {steps} steps"
        await client.aclose()
