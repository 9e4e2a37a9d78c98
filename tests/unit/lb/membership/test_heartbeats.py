"""lb.membership.heartbeats: what is read from Redis, and how little."""

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ingest.heartbeat import Heartbeat
from ingest.heartbeat import Member as Said
from lb.config import Config
from lb.membership.heartbeats import WHOLE_EVERY, Heartbeats, checked_address, connect, parse_entry
from lb.placement.health import Member

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # no test asserts a duration


def node(redis: Redis, name: str, state: str = "serving") -> Heartbeat:
    """A node that speaks as ours do."""
    return Heartbeat(redis, name, lambda: Said("h:1", 1, "z", state), 1.0)


def member(name: str, state: str = "serving") -> Member:
    """The same node as the balancer sees it."""
    return Member(id=name, address="h:1", zone="z", state=state)


async def test_a_look_brings_only_what_changed(redis: Redis) -> None:
    """Everything first, nothing while nothing changes, then the one that drains, the one that left."""
    looks = Heartbeats(60_000)
    for name in "abc":
        await node(redis, name).beat()
    first = await looks.look(redis)
    assert (first.whole, first.changed, first.fresh) == (True, {name: member(name) for name in "abc"}, 3)
    quiet = await looks.look(redis)
    assert (quiet.whole, quiet.changed, quiet.late, quiet.fresh) == (False, {}, frozenset(), 3)
    await node(redis, "b", "draining").beat()
    assert (await looks.look(redis)).changed == {"b": member("b", "draining")}
    await node(redis, "c").leave()
    left = await looks.look(redis)
    assert (left.changed, left.fresh) == ({"c": None}, 2)


async def test_late_beats_are_told_and_fresh_ones_only_counted(redis: Redis) -> None:
    """By the clock of Redis, at the first look and later ones; what it cannot have heard yet is late too."""
    looks = Heartbeats(2000)
    for name in "abc":
        await node(redis, name).beat()
    seconds, _ = await redis.time()
    await redis.zadd("snapsurge:nodes:beats", {"b": (seconds - 5) * 1000, "c": (seconds + 600) * 1000})
    for whole in (True, False):
        look = await looks.look(redis)
        assert (look.whole, look.late, look.fresh) == (whole, frozenset("bc"), 1)


async def test_all_is_read_anew_after_a_loss_and_now_and_then(redis: Redis) -> None:
    """A Redis that lost its data has no version; a writer without versions is heard within some looks."""
    looks = Heartbeats(60_000)
    await node(redis, "a").beat()
    await looks.look(redis)
    await redis.flushall()
    assert (await looks.look(redis)).whole
    await node(redis, "a").beat()
    await looks.look(redis)
    await redis.hset("snapsurge:nodes", "x", json.dumps({"address": "h:2"}))
    found = [await looks.look(redis) for _ in range(WHOLE_EVERY)]
    assert [look.mute for look in found if look.whole] == [frozenset("x")]


async def test_a_look_can_be_cancelled_at_every_step(redis_url: str) -> None:
    """Its caller bounds its time: no cancellation is lost while the bytes are handed over."""
    client, looks = connect(Config(redis_url=redis_url)), Heartbeats(2000)

    async def looking() -> None:
        while True:
            await looks.look(client)

    try:
        await looks.look(client)
        for steps in range(100):
            task = asyncio.get_running_loop().create_task(looking())
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task], timeout=10)
            assert task.cancelled(), f"lost after {steps} steps"
    finally:
        await client.aclose()


async def test_a_redis_that_is_away_raises(free_port: int) -> None:
    """And is asked for everything afterwards."""
    looks = Heartbeats(2000)
    looks._version = "5"
    async with connect(Config(redis_url=f"redis://127.0.0.1:{free_port}/0")) as client:
        with pytest.raises(RedisError):
            await looks.look(client)
    assert looks._version == ""


@pytest.mark.parametrize("raw", [b"{", b"[]", b'{"address":"nowhere"}', b"", b'{"x":' + b"[" * 6000])
def test_unreadable_entries_are_none(raw: bytes) -> None:
    """A node that writes nonsense harms nobody else."""
    assert parse_entry(b"a", raw) is None


def test_weights_are_held_within_bounds() -> None:
    """Unknown fields are left alone."""
    found = parse_entry(b"a", b'{"address":"h:1","weight":500,"more":1}')

    assert found == Member(id="a", address="h:1", weight=100)


@UNHURRIED
@given(st.binary(max_size=60))
def test_any_value_is_survived(raw: bytes) -> None:
    """Whatever stands in the hash, looking at it does not fail."""
    assert parse_entry(raw, raw) is None


@pytest.mark.parametrize("address", ["h", "h:x", ":1", "h:0", "h:65536"])
def test_bad_addresses_are_refused(address: str) -> None:
    """The error repeats what was given."""
    with pytest.raises(ValueError, match="host:port"):
        checked_address(address)


async def test_a_demoted_primary_is_not_believed(redis_server: Callable[[], AbstractContextManager[str]]) -> None:
    """It hears no heartbeats any more: the look fails, and the next one dials anew."""
    with redis_server() as url:
        client = connect(Config(redis_url=url))
        looks = Heartbeats(60_000)
        await node(client, "a").beat()
        assert (await looks.look(client)).fresh == 1
        sessions = await client.client_list()
        await client.replicaof("127.0.0.1", 1)
        with pytest.raises(RedisError):
            await looks.look(client)
        await client.replicaof("NO", "ONE")
        assert (await looks.look(client)).fresh == 1
        assert not {one["id"] for one in sessions} & {one["id"] for one in await client.client_list()}
        await client.aclose()
