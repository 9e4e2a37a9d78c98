"""Which primary a client follows, and how fast: Sentinels that say what the test tells them, before real servers."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from storage.config import Config
from storage.connections import only_primary
from storage.opening import redis_client
from storage.sentinels import HEARD_S, SETTLED_S
from storage.trust import records, trusted
from tests.fake_sentinel import FakeSentinel, address

# These tests look into redis-py's pool: it has no public way to say where idle connections go.


@pytest.fixture
def servers(redis_server: Callable[[], AbstractContextManager[str]]) -> Iterator[tuple[int, int]]:
    """The ports of two servers; each is a primary until a test says otherwise."""
    with redis_server() as first, redis_server() as second:
        yield urlsplit(first).port or 0, urlsplit(second).port or 0


@pytest.fixture
async def sentinels(servers: tuple[int, int]) -> AsyncIterator[list[FakeSentinel]]:
    """Three that name the first server."""
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(FakeSentinel(servers[0])) for _ in range(3)]


@pytest.fixture
async def client(sentinels: list[FakeSentinel]) -> AsyncIterator[Redis]:
    """As every program makes it."""
    made = redis_client(Config(redis_url=address(*sentinels)))
    yield made
    await made.aclose()


async def port_of(client: Redis) -> int:
    """The server that answers."""
    return int((await client.config_get("port"))["port"])


def idle(client: Redis) -> list[Any]:
    """Connections that wait in the pool."""
    return list(client.connection_pool._available_connections)


def later(client: Redis) -> None:
    """As if the Sentinels had been asked long ago."""
    client.connection_pool._sentinels._asked_s = float("-inf")


async def test_the_primary_is_used_and_the_sentinels_are_asked_once(
    client: Redis, sentinels: list[FakeSentinel], servers: tuple[int, int]
) -> None:
    """Many connections that are made at once share one question to each."""
    assert set(await asyncio.gather(*(port_of(client) for _ in range(20)))) == {servers[0]}
    assert len(idle(client)) == 20
    assert max(one.asked for one in sentinels) < 20  # a slow machine asks anew after `AGAIN_S`


async def test_all_connections_follow_as_soon_as_the_sentinels_name_another(
    client: Redis, sentinels: list[FakeSentinel], servers: tuple[int, int]
) -> None:
    """Not one at a time: after the first command that hears of it, no idle one goes to the old primary."""
    await asyncio.gather(*(port_of(client) for _ in range(5)))
    for one in sentinels:
        one.primary, one.epoch = servers[1], 2
    assert await port_of(client) == servers[0]  # asked just now: nothing to look for yet
    later(client)
    assert await port_of(client) == servers[1]
    assert set(await asyncio.gather(*(port_of(client) for _ in range(6)))) == {servers[1]}


async def test_one_refused_command_sends_all_to_the_new_primary(
    client: Redis, sentinels: list[FakeSentinel], servers: tuple[int, int]
) -> None:
    """A demoted primary that keeps its sessions: one READONLY, and every other command is answered by the new one."""
    await asyncio.gather(*(port_of(client) for _ in range(5)))
    async with Redis(port=servers[0]) as old:
        await old.replicaof("127.0.0.1", servers[1])
    for one in idle(client):
        one.dialled_s = 0.0
    for one in sentinels:
        one.primary, one.epoch = servers[1], 2
    client.connection_pool._sentinels._asked_s = time.monotonic() - 1  # more than AGAIN_S, less than LOOK_S
    with pytest.raises(RedisError, match="read only"):
        await client.set("a", "1")
    assert set(await asyncio.gather(*(port_of(client) for _ in range(5)))) == {servers[1]}


async def test_a_primary_that_hangs_costs_one_timeout(sentinels: list[FakeSentinel], servers: tuple[int, int]) -> None:
    """Idle connections to it are not tried one by one."""
    client = redis_client(Config(redis_url=address(*sentinels), redis_timeout_s=0.3))
    pid = (await client.info("server"))["process_id"]
    try:
        await asyncio.gather(*(client.ping() for _ in range(5)))
        for one in idle(client):
            one.dialled_s = 0.0
        os.kill(pid, signal.SIGSTOP)
        for each in sentinels:
            each.primary, each.epoch = servers[1], 2
        client.connection_pool._sentinels._asked_s = time.monotonic() - 1
        with pytest.raises(RedisError, match="Timeout"):
            await client.set("a", "1")
        assert await asyncio.gather(*(client.set("a", "1") for _ in range(5))) == [True] * 5
    finally:
        os.kill(pid, signal.SIGCONT)
        await client.aclose()


async def test_of_different_answers_the_last_failover_counts(
    client: Redis, sentinels: list[FakeSentinel], servers: tuple[int, int]
) -> None:
    """A Sentinel that was cut off names the old primary; a majority contains one that knows better."""
    for one in sentinels[1:]:
        one.primary, one.epoch = servers[1], 2
    for _ in range(5):
        later(client)
        assert await port_of(client) == servers[1]


async def test_sentinels_that_hang_or_are_away_delay_nothing(
    client: Redis, sentinels: list[FakeSentinel], servers: tuple[int, int]
) -> None:
    """A majority is enough; one alone is too, when the others are given up."""
    sentinels[0].mute = True
    assert await port_of(client) == servers[0]
    sentinels[1].mute = True
    later(client)
    await client.connection_pool.disconnect()
    assert await port_of(client) == servers[0]


async def test_connections_that_work_stay_while_no_sentinel_answers(
    client: Redis, sentinels: list[FakeSentinel], servers: tuple[int, int]
) -> None:
    """Sentinels that are all away, or that all find the primary down, break nothing that works; a new client fails."""
    assert await port_of(client) == servers[0]
    for one in sentinels:
        one.flags = "master,s_down,o_down"
    later(client)
    assert await port_of(client) == servers[0]
    fresh = redis_client(Config(redis_url=address(*sentinels)))
    with pytest.raises(RedisConnectionError, match=f"know no primary p: 127.0.0.1:{servers[0]} is down"):
        await fresh.ping()
    await fresh.aclose()


async def test_a_replica_is_not_used_whatever_the_sentinels_say(
    client: Redis, sentinels: list[FakeSentinel], servers: tuple[int, int]
) -> None:
    """Not for reads either; nor dialled for every command, since ports are finite."""
    async with Redis(port=servers[0]) as old:
        await old.replicaof("127.0.0.1", servers[1])
        before = (await old.info("stats"))["total_connections_received"]
        for _ in range(50):
            with pytest.raises(RedisConnectionError, match="is a replica"):
                await client.get("a")
        assert (await old.info("stats"))["total_connections_received"] - before < 25
    for one in sentinels:
        one.primary = servers[1]
    later(client)
    assert await client.ping()


async def test_a_name_that_no_sentinel_knows_is_said(sentinels: list[FakeSentinel]) -> None:
    """The error names it, and what they said."""
    client = redis_client(Config(redis_url=address(*sentinels, name="other")))
    with pytest.raises(RedisConnectionError, match="know no primary other: No such master"):
        await client.ping()
    await client.aclose()


async def test_a_command_can_be_cancelled_at_every_step(client: Redis, sentinels: list[FakeSentinel]) -> None:
    """Also while the Sentinels are asked, and one of them hangs: no cancellation is lost."""
    sentinels[0].mute = True

    async def asking() -> None:
        while True:
            later(client)
            await client.ping()

    await client.ping()
    for steps in range(0, 120, 2):
        task = asyncio.get_running_loop().create_task(asking())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task], timeout=10)
        assert task.cancelled(), f"lost after {steps} steps"


async def test_who_did_not_hear_of_the_primary_lately_believes_nothing_that_is_there(
    client: Redis, sentinels: list[FakeSentinel]
) -> None:
    """It may have been replaced; one Sentinel alone may be cut off with it. Commands go on."""
    assert await trusted(client, ["post"]) == [None]
    for one in sentinels[1:]:
        one.mute = True
    client.connection_pool._sentinels._heard_s -= HEARD_S
    later(client)
    with pytest.raises(RedisConnectionError, match="majority"):
        await trusted(client, ["post"])
    assert await records(client, ["post"]) == [None]
    sentinels[1].mute = False
    later(client)
    assert await trusted(client, ["post"]) == [None]


async def test_a_primary_is_confirmed_by_a_majority_that_is_asked_afterwards(
    client: Redis, sentinels: list[FakeSentinel], servers: tuple[int, int]
) -> None:
    """What was written at a primary that has a successor by now is nowhere."""
    async with only_primary(client):  # heard of it first just now: returns when no reader of an earlier one is left
        await client.set("a", "1")
        known = client.connection_pool._sentinels._changed_s
        client.connection_pool._sentinels._changed_s -= SETTLED_S - 0.2
    assert time.monotonic() - known >= 0.2

    client.connection_pool._sentinels._changed_s = float("-inf")
    asked = sentinels[0].asked
    async with only_primary(client):
        await client.set("a", "1")
    assert sentinels[0].asked > asked

    async def failing_over() -> None:
        async with only_primary(client):
            await client.set("a", "1")
            for one in sentinels:
                one.primary, one.epoch = servers[1], 2

    with pytest.raises(RedisConnectionError, match="did not confirm"):
        await failing_over()

    client.connection_pool._sentinels._changed_s = float("-inf")
    for one in sentinels[1:]:
        one.mute = True
    with pytest.raises(RedisConnectionError, match="did not confirm"):
        async with only_primary(client):
            await client.set("a", "1")
