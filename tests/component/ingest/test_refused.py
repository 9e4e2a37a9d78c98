"""Uploads to a real node while its Redis refuses, in every way that Redis has: 201, and told to Redis afterwards."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from storage.keys import post_id
from storage.queue.jobs import ON_TIME
from tests.refusing_redis import CAUSES, SHUT, loading, mend, operator

MakeClient = Callable[..., AbstractAsyncContextManager[Any]]
RedisServer = Callable[[], AbstractContextManager[str]]


@pytest.fixture
def own_url(redis_server: RedisServer) -> Iterator[str]:
    """A Redis that a test may break."""
    with redis_server() as url:
        yield url


@pytest.fixture
async def ops(own_url: str) -> AsyncIterator[Redis]:
    """An operator's client of it."""
    async with operator(own_url) as client:
        yield client


async def queued(ops: Redis) -> set[str]:
    """The posts whose render waits."""
    try:
        return {job.decode().partition(":")[2] for job in await ops.zrange(ON_TIME, 0, -1)}
    except RedisError:  # it still loads
        return set()


@pytest.mark.parametrize("code", [*CAUSES, *SHUT])
async def test_uploads_are_accepted_while_redis_refuses(
    own_url: str, ops: Redis, make_client: MakeClient, code: str
) -> None:
    """And each has its jobs as soon as Redis takes writes, without the sweeper."""
    async with make_client(redis_address=own_url) as client:
        moment = await client.moment()
        assert (await client.upload(moment, user="before")).status == 201
        await (CAUSES | SHUT)[code](ops, own_url)
        for user in ("one", "two", "three"):
            answer = await client.upload(moment, user=user)
            assert answer.status == 201, answer.raw
        await mend(ops)
        while not await queued(ops) >= {post_id(moment, user) for user in ("one", "two", "three")}:
            assert (await client.call("GET", "/livez")).status == 200  # pytest-timeout bounds the wait


async def test_uploads_are_accepted_while_redis_loads(
    own_url: str, ops: Redis, make_client: MakeClient, redis_server: RedisServer
) -> None:
    """LOADING, then READONLY because it is a replica, then a primary again."""
    async with make_client(redis_address=own_url) as client:
        moment = await client.moment()
        async with loading(ops, redis_server):
            for user in ("one", "two"):
                answer = await client.upload(moment, user=user)
                assert answer.status == 201, answer.raw
            await mend(ops)
            while not await queued(ops) >= {post_id(moment, user) for user in ("one", "two")}:
                await mend(ops)
