"""Each Redis in the leader's metrics, from real servers."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

import processors.scaling.redis_servers as module
from processors.election import Election
from processors.scaling.redis_servers import FAULTS, PERSISTENCE, asking, faults, servers
from storage.config import Config

NAMES = ("up", "memory_bytes", "memory_max_bytes")


async def asked(redis: Redis, there: dict[str, Redis], *, elected: bool) -> CollectorRegistry:
    """The metrics after some rounds."""
    registry, election = CollectorRegistry(), Election(redis, "me", term_s=5)
    election.elected = elected
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(asking(there, election, registry))
        up = "snapsurge_redis_up"
        while elected and any(registry.get_sample_value(up, {"shard": one}) is None for one in there):  # noqa: ASYNC110 - no event
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
    return registry


async def test_one_that_answers_and_one_that_does_not(
    redis: Redis, absent_redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The memory and its limit are those that Redis tells; one is away without the other."""
    monkeypatch.setattr(module, "EVERY_S", 0.0)
    await redis.config_set("maxmemory", 123_456_789)
    try:
        registry = await asked(redis, {"here:1": redis, "away:2": absent_redis}, elected=True)
    finally:
        await redis.config_set("maxmemory", 0)

    here, away = (
        [registry.get_sample_value(f"snapsurge_redis_{name}", {"shard": shard}) for name in NAMES]
        for shard in ("here:1", "away:2")
    )
    used = (await redis.info("memory"))["used_memory"]
    assert here[0] == 1
    assert here[1] == pytest.approx(used, rel=0.5)
    assert here[2] == 123_456_789
    assert away == [0, 0, 0]


async def test_what_makes_a_redis_unfit_is_shown(
    redis: Redis, absent_redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A policy that drops keys; of one that does not answer nothing is known."""
    monkeypatch.setattr(module, "EVERY_S", 0.0)
    for policy, evicts in (("allkeys-lru", 1), ("noeviction", 0)):
        await redis.config_set("maxmemory-policy", policy)
        try:
            registry = await asked(redis, {"here:1": redis, "away:2": absent_redis}, elected=True)
        finally:
            await redis.config_set("maxmemory-policy", "noeviction")
        here, away = (
            [registry.get_sample_value("snapsurge_redis_fault", {"shard": shard, "fault": fault}) for fault in FAULTS]
            for shard in ("here:1", "away:2")
        )
        assert (here, away) == ([0, 0, evicts], [0, 0, 0])


def test_each_fault_is_told_from_the_others() -> None:
    """A fit Redis has none, nor one that is too old to tell."""
    fit = {"role": "master", "maxmemory_policy": "noeviction", **dict.fromkeys(PERSISTENCE, "ok")}
    assert faults(fit) == faults({}) == set()
    assert faults(fit | {"role": "slave"}) == {"role"}
    assert faults(fit | {"maxmemory_policy": "volatile-ttl"}) == {"eviction"}
    for key in PERSISTENCE:
        assert faults(fit | {key: "err"}) == {"persistence"}


async def test_who_does_not_lead_asks_nobody(redis: Redis) -> None:
    """And says of none that it is away, so that who leads next does not either before it has asked."""
    registry = await asked(redis, {"here:1": redis}, elected=False)

    assert [registry.get_sample_value(f"snapsurge_redis_{name}", {"shard": "here:1"}) for name in NAMES] == [None] * 3


async def test_what_was_known_is_forgotten_with_the_election(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the next time begins with what was true the last time."""
    monkeypatch.setattr(module, "EVERY_S", 0.0)
    registry, election = CollectorRegistry(), Election(redis, "me", term_s=5)
    election.elected = True
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(asking({"here:1": redis}, election, registry))
        while not registry.get_sample_value("snapsurge_redis_up", {"shard": "here:1"}):  # noqa: ASYNC110 - no event
            await asyncio.sleep(0)
        election.elected = False
        while registry.get_sample_value("snapsurge_redis_up", {"shard": "here:1"}) is not None:  # noqa: ASYNC110
            await asyncio.sleep(0)
        task.cancel()


async def test_servers_are_named_without_their_passwords_and_once(redis: Redis, absent_redis: Redis) -> None:
    """The Redis of `SNAPSURGE_REDIS_URL` is one of them, whether it is a shard or not."""
    config = Config(redis_url="redis://:secret@h:6379/1")

    assert servers(config, redis, {"h:6379/1": redis}) == {"h:6379/1": redis}
    assert servers(config, redis, {"other:6379/0": absent_redis}) == {"h:6379/1": redis, "other:6379/0": absent_redis}
