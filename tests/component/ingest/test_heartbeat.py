"""The node's word to the balancers, in real Redis."""

import logging
import time

import msgspec
import pytest
from redis.asyncio import Redis

from ingest.heartbeat import OTHERS_MIN, Heartbeat, Member

MEMBER = Member("127.0.0.1:9001", 1, "", "serving")


async def test_a_beat_says_address_state_and_when(redis: Redis) -> None:
    """The hash has the member, the sorted set Redis' own time; leaving takes both away."""
    heartbeat = Heartbeat(redis, "a", lambda: MEMBER, 1.0)
    await heartbeat.beat()
    seconds, _ = await redis.time()

    said = msgspec.json.decode(await redis.hget("snapsurge:nodes", "a"))
    assert said == {"address": "127.0.0.1:9001", "weight": 1, "zone": "", "state": "serving"}
    assert abs(await redis.zscore("snapsurge:nodes:beats", "a") - seconds * 1000) < 5000
    await heartbeat.leave()
    assert await redis.exists("snapsurge:nodes", "snapsurge:nodes:beats") == 0


async def test_only_changes_make_versions(redis: Redis) -> None:
    """A beat like the last one changes nothing but its time; another word, leaving or registering anew does."""
    said = MEMBER

    async def version() -> int:
        return int(await redis.get("snapsurge:nodes:version") or 0)

    heartbeat = Heartbeat(redis, "a", lambda: said, 1.0)
    versions = []
    for step in ("beat", "beat", "drain", "anew", "leave"):
        said = Member("127.0.0.1:9001", 1, "", "draining") if step == "drain" else said
        await (heartbeat.leave() if step == "leave" else heartbeat.beat(anew=step == "anew"))
        versions.append(await version())

    assert versions[0] == versions[1] < versions[2] < versions[3] < versions[4]
    assert await redis.zscore("snapsurge:nodes:changes", "a") == versions[-1]
    assert versions[0] > 1_600_000_000_000


async def test_each_beat_tells_the_clock_of_redis(redis: Redis, free_port: int) -> None:
    """How far ours is ahead of it; a Redis that is away says nothing about the clock."""
    told: list[float] = []
    await Heartbeat(redis, "a", lambda: MEMBER, 1.0, told.append).beat()
    async with Redis(port=free_port) as away:
        await Heartbeat(away, "a", lambda: MEMBER, 1.0, told.append).beat()
    seconds, micros = await redis.time()

    assert len(told) == 1
    assert abs(told[0] - (time.time() - seconds - micros / 1e6)) < 30


async def test_without_redis_it_is_logged_once(free_port: int, caplog: pytest.LogCaptureFixture) -> None:
    """A silent Redis neither fails the node nor fills its log."""
    async with Redis(port=free_port) as away:
        heartbeat = Heartbeat(away, "a", lambda: MEMBER, 1.0)
        with caplog.at_level(logging.WARNING):
            for _ in range(3):
                await heartbeat.beat()
        await heartbeat.leave()

    assert [record.getMessage().split(":")[0] for record in caplog.records] == [
        "cannot write heartbeats to Redis, balancers keep the members they know"
    ]


async def test_two_nodes_of_one_name_are_told(redis: Redis, caplog: pytest.LogCaptureFixture) -> None:
    """By both, once a minute or so; a node that took the place of one before it says nothing, nor one that drains."""
    moved = Member("127.0.0.1:9009", 1, "", "serving")
    states = iter([MEMBER, Member("127.0.0.1:9001", 1, "", "draining"), MEMBER])
    await Heartbeat(redis, "a", lambda: moved, 1.0).beat()
    alone = Heartbeat(redis, "a", lambda: next(states), 1.0)
    for _ in range(3):
        await alone.beat()
    assert caplog.messages == []

    first, second = (Heartbeat(redis, "a", lambda said=said: said, 1.0) for said in (MEMBER, moved))
    for _ in range(10):
        await first.beat()
        await second.beat()

    assert [message.partition(":")[0] for message in caplog.messages] == [
        "another node uses the same id a, at 127.0.0.1"
    ] * 2
    assert "9009" in caplog.messages[0]
    assert "9001" in caplog.messages[1]


@pytest.mark.parametrize("entry", ["no JSON", "[]", '{"address": 1}', b"\xff"])
async def test_an_entry_that_is_not_a_nodes_ends_no_heartbeat(
    redis: Redis, caplog: pytest.LogCaptureFixture, entry: str | bytes
) -> None:
    """Whoever wrote it: it is replaced and told like that of another node."""
    heartbeat = Heartbeat(redis, "a", lambda: MEMBER, 1.0)
    await heartbeat.beat()
    for _ in range(OTHERS_MIN):
        await redis.hset("snapsurge:nodes", "a", entry)
        await heartbeat.beat()

    assert "at an unknown address" in caplog.text
    assert msgspec.json.decode(await redis.hget("snapsurge:nodes", "a"), type=Member) == MEMBER
