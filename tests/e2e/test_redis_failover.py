"""A planned failover of Redis behind a TCP proxy that keeps sessions: everybody goes on with the new primary.

The proxy asks for the role when a session begins, as HAProxy's check does, and never ends one. So whoever keeps his
session talks to the demoted primary for ever: it answers reads and refuses writes.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

import lb.config
import lb.membership.heartbeats
from ingest.gcra import Rate
from ingest.heartbeat import Heartbeat, Member
from ingest.ratelimit import RateLimiter
from storage.config import Config
from storage.index import Index
from storage.opening import redis_client
from storage.posts import Posts
from storage.queue.shards import Shards
from tests.e2e.test_processors_harness import QUICK, Stack, running, until

pytestmark = pytest.mark.e2e


class Proxy:
    """Listens on a loopback port; each new session goes to the primary of that moment, and stays there."""

    def __init__(self, *servers: Redis) -> None:
        self._servers = servers
        self._sessions: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def primary(self) -> int:
        """The port of the server that says that it is the primary."""
        for server in self._servers:
            if (await server.info("replication"))["role"] == "master":
                return int(server.connection_pool.connection_kwargs["port"])
        raise ConnectionRefusedError

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for writer in self._sessions:
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._sessions.add(writer)
        with contextlib.suppress(OSError, RedisError):
            server_reader, server = await asyncio.open_connection("127.0.0.1", await self.primary())
            self._sessions.add(server)
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, server), name="up")
                group.create_task(_pump(server_reader, writer), name="down")
        writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until one side ends, which ends the other."""
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@pytest.fixture
async def pair(redis_server: Callable[[], AbstractContextManager[str]]) -> AsyncIterator[tuple[Redis, Redis]]:
    """A primary, and a replica that has all that it has."""
    with redis_server() as first, redis_server() as second:
        async with Redis.from_url(first) as primary, Redis.from_url(second) as replica:
            address = urlsplit(first)
            await replica.replicaof(address.hostname, address.port)
            await until(lambda: _follows(replica))
            yield primary, replica


async def _follows(replica: Redis) -> bool:
    return bool((await replica.info("replication")).get("master_link_status") == "up")


async def _fail_over(primary: Redis, replica: Redis) -> None:
    """As ops do it; both go on running, every session stays."""
    await primary.execute_command("FAILOVER")

    async def swapped() -> bool:
        return bool((await replica.info("replication"))["role"] == "master") and await _follows(primary)

    await until(swapped)


@pytest.fixture
async def stack(tmp_path: Path, pair: tuple[Redis, Redis]) -> AsyncIterator[Stack]:
    """Processors and this test, all behind the proxy."""
    async with Proxy(*pair) as proxy, running(tmp_path) as made:
        await made.redis.aclose()
        made.port, made.redis = proxy.port, redis_client(Config(redis_url=f"redis://127.0.0.1:{proxy.port}/0"))
        made.queue = Shards({"": made.redis})
        yield made


async def test_processors_go_on_with_the_new_primary(stack: Stack, pair: tuple[Redis, Redis]) -> None:
    """Pairs that come around the failover are rendered, the counts are those of the store, the elected one stays."""
    primary, replica = pair
    stack.start("autoscale", "--workers-min", "2", sweep_every_s=2, **QUICK)
    before = await stack.post(10)
    await stack.all_ready(before)

    await _fail_over(primary, replica)
    told = 0
    while not told:  # as a node does: what Redis does not take is left to the sweeper
        with contextlib.suppress(RedisError):
            told = len(await stack.post(10, first=10))
    await stack.post(10, first=20, tell=False)
    await stack.all_ready([*before, *stack.ids(20, first=10)])

    assert stack.moment
    index = Index(stack.redis)
    counts = await Posts(stack.store, index).counts(stack.moment.id)
    assert (counts.accepted, counts.ready) == (30, 30)
    assert await replica.exists("snapsurge:elected", "snapsurge:scaling") == 2


async def test_nodes_and_balancers_go_on_with_the_new_primary(stack: Stack, pair: tuple[Redis, Redis]) -> None:
    """Heartbeats and limits are written to it, polls read from it, in a bounded number of tries."""
    primary, replica = pair
    heartbeat = Heartbeat(stack.redis, "node", lambda: Member("h:1", 1, "z", "serving"), 0.1)
    balancer = lb.membership.heartbeats.connect(lb.config.Config(redis_url=f"redis://127.0.0.1:{stack.port}/0"))
    polls = lb.membership.heartbeats.Heartbeats(60_000)
    async with RateLimiter({"": stack.redis}, Rate(burst=10, period_s=600)) as limiter:
        await heartbeat.beat()
        assert (await polls.poll(balancer)).fresh == 1
        assert (await limiter.check("ann", "post")).remaining == 9
        await _fail_over(primary, replica)
        await replica.delete("snapsurge:nodes", "snapsurge:nodes:beats", "snapsurge:rate:ann")

        async def there() -> bool:
            await heartbeat.beat()
            await limiter.check("ann", "post")
            with contextlib.suppress(RedisError):
                return (await polls.poll(balancer)).fresh == 1 and bool(await replica.exists("snapsurge:rate:ann"))
            return False

        await until(there)
    await balancer.aclose()
