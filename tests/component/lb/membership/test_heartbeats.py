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
from lb.membership.heartbeats import FULL_EVERY, Heartbeats, checked_address, connect, parse_entry
from lb.placement.node import Member

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # no test asserts a duration


def node(redis: Redis, name: str, state: str = "serving") -> Heartbeat:
    """A node that speaks as ours do."""
    return Heartbeat(redis, name, lambda: Said("h:1", 1, "z", state), 1.0)


def member(name: str, state: str = "serving") -> Member:
    """The same node as the balancer sees it."""
    return Member(id=name, address="h:1", zone="z", state=state)


async def test_a_look_brings_only_what_changed(redis: Redis) -> None:
    """Everything first, nothing while nothing changes, then the one that drains, the one that left."""
    polls = Heartbeats(60_000)
    for name in "abc":
        await node(redis, name).beat()
    first = await polls.poll(redis)
    assert (first.full, first.changed, first.fresh) == (True, {name: member(name) for name in "abc"}, 3)
    quiet = await polls.poll(redis)
    assert (quiet.full, quiet.changed, quiet.late, quiet.fresh) == (False, {}, frozenset(), 3)
    await node(redis, "b", "draining").beat()
    assert (await polls.poll(redis)).changed == {"b": member("b", "draining")}
    await node(redis, "c").leave()
    left = await polls.poll(redis)
    assert (left.changed, left.fresh) == ({"c": None}, 2)


async def test_late_beats_are_told_and_fresh_ones_only_counted(redis: Redis) -> None:
    """By the clock of Redis, at the first poll and later ones; what it cannot have heard yet is late too."""
    polls = Heartbeats(2000)
    for name in "abc":
        await node(redis, name).beat()
    seconds, _ = await redis.time()
    await redis.zadd("snapsurge:nodes:beats", {"b": (seconds - 5) * 1000, "c": (seconds + 600) * 1000})
    for full in (True, False):
        poll = await polls.poll(redis)
        assert (poll.full, poll.late, poll.fresh) == (full, frozenset("bc"), 1)


async def test_all_is_read_anew_after_a_loss_and_now_and_then(redis: Redis) -> None:
    """A Redis that lost its data has no version; a writer without versions is heard within some polls."""
    polls = Heartbeats(60_000)
    await node(redis, "a").beat()
    await polls.poll(redis)
    await redis.flushall()
    assert (await polls.poll(redis)).full
    await node(redis, "a").beat()
    await polls.poll(redis)
    await redis.hset("snapsurge:nodes", "x", json.dumps({"address": "h:2"}))
    found = [await polls.poll(redis) for _ in range(FULL_EVERY)]
    assert [poll.beatless for poll in found if poll.full] == [frozenset("x")]


async def test_a_look_can_be_cancelled_at_every_step(redis_url: str) -> None:
    """Its caller bounds its time: no cancellation is lost while the bytes are handed over."""
    client, polls = connect(Config(redis_url=redis_url)), Heartbeats(2000)

    async def looking() -> None:
        while True:
            await polls.poll(client)

    try:
        await polls.poll(client)
        for steps in range(100):
            task = asyncio.get_running_loop().create_task(looking())
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task], timeout=10)
            assert task.cancelled(), f"lost after {steps} steps"
    finally:
        await client.aclose()


async def test_after_a_poll_that_failed_all_entries_are_read(redis: Redis, free_port: int) -> None:
    """An unavailable Redis raises; the next poll reads the full membership, not only the changes."""
    polls = Heartbeats(60_000)
    await node(redis, "a").beat()
    assert [(await polls.poll(redis)).full for _ in range(2)] == [True, False]
    async with connect(Config(redis_url=f"redis://127.0.0.1:{free_port}/0")) as client:
        with pytest.raises(RedisError):
            await polls.poll(client)
    assert (await polls.poll(redis)).full


async def test_a_node_that_leaves_just_before_all_is_read_leaves_at_once(redis: Redis) -> None:
    """It is named beside the entries: after polls that went well, and after one that failed; a loss names nobody."""
    polls = Heartbeats(60_000)
    for name in "abc":
        await node(redis, name).beat()
    for _ in range(FULL_EVERY):
        await polls.poll(redis)
    await node(redis, "b").leave()
    poll = await polls.poll(redis)
    assert (poll.full, poll.left, poll.beatless, poll.fresh) == (True, frozenset("b"), frozenset(), 2)
    await redis.client_pause(200)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await polls.poll(redis)
    await node(redis, "c").leave()
    assert ((poll := await polls.poll(redis)).full, poll.left) == (True, frozenset("c"))
    await redis.flushall()
    assert ((poll := await polls.poll(redis)).full, poll.left) == (True, frozenset())


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
    """It hears no heartbeats any more: the poll fails, and the next one dials anew."""
    with redis_server() as url:
        client = connect(Config(redis_url=url))
        polls = Heartbeats(60_000)
        await node(client, "a").beat()
        assert (await polls.poll(client)).fresh == 1
        sessions = await client.client_list()
        await client.replicaof("127.0.0.1", 1)
        with pytest.raises(RedisError):
            await polls.poll(client)
        await client.replicaof("NO", "ONE")
        assert (await polls.poll(client)).fresh == 1
        assert not {one["id"] for one in sessions} & {one["id"] for one in await client.client_list()}
        await client.aclose()
