"""processors.inspect_command: what store, Redis and queue are like, on real ones; nothing is changed."""

import time
from pathlib import Path

import pytest
from redis.asyncio import Redis

from processors.inspect_command import Inspection, inspect
from processors.letters import DeadLetter, DeadLetters
from processors.scaling.presence import beat
from processors.scaling.pulse import Pulse
from storage.blobs import BlobStore
from storage.config import Config
from storage.decision import Scaling, publish
from storage.index import Index
from storage.keys import CLOCK_KEY
from storage.moments import Moments
from storage.queue.jobs import Queue, jobs_of
from storage.s3.address import S3Address
from storage.s3.store import S3Store
from tests.careless_store import careless_store

POST = "aaaaaaaaaaaaaaaaaaaaaaaaaa-eu-20260101-x"


async def keys_of(store: BlobStore, redis: Redis) -> tuple[list[str], dict[bytes, bytes]]:
    """Everything that is stored, but the clock of the queue, which every look at the queue moves on."""
    probes = [entry.key async for entry in store.list("probe/")]
    moments = [entry.key async for entry in store.list("moments/")]
    return probes + moments, {key: await redis.dump(key) for key in await redis.keys() if key != CLOCK_KEY.encode()}


def config(store: str, redis_url: str, shards: str = "") -> Config:
    """Where to look."""
    return Config(store_url=store, redis_url=redis_url, shard_urls=shards)


async def filled(redis: Redis) -> None:
    """A queue with a job and a dead letter, a worker, a decision."""
    await Queue(redis).enqueue(jobs_of("eu-20260101-x", POST)[:1])
    await DeadLetters(redis).keep(
        DeadLetter(id="x:y", name="x", args=(), error="e", tries=5, at="2026-01-01T00:00:00Z")
    )
    await beat(redis, "host:1:a", Pulse(0, 0.0), ttl_s=60)
    decided = Scaling(
        desired=3, workers=1, ready=0, oldest_s=0, arrivals_per_s=0, service_s=0, decided_at="2026-01-01T00:00:00.000Z",
        tiers={"node": 4},
    )  # fmt: skip
    await publish(redis, decided, ttl_s=60)


async def test_a_real_minio_and_redis(s3_url: str, redis: Redis, redis_url: str) -> None:
    """Endpoints, one winner of each race, free space, queue, workers, decision, moment; and all is as it was."""
    async with S3Store(S3Address.parse(s3_url)) as store:
        moment = await Moments(store, Index(redis)).create("eu", int(time.time() * 1000), 120)
        await filled(redis)
        before = await keys_of(store, redis)

        found = await inspect(config(s3_url, redis_url), moment.id)

        assert await keys_of(store, redis) == before
    assert (found.store.error, found.store.unfit, found.store.raced, found.errors) == ("", "", True, {})
    assert set(found.store.endpoints.values()) == {"UP"}
    assert found.store.free_bytes
    assert found.store.all_bytes
    assert 0 < found.store.free_bytes <= found.store.all_bytes
    assert found.queue
    assert (found.queue.ready, found.queue.dead, found.workers) == (1, 1, 1)
    assert found.scaling
    assert (found.scaling.desired, found.scaling.tiers) == (3, {"node": 4})
    assert found.moment == moment
    assert (found.addresses["SNAPSURGE_STORE_URL"], found.addresses["SNAPSURGE_SHARD_URLS"]) == (s3_url, "")
    (one,) = found.redis
    assert one.name == found.addresses["SNAPSURGE_REDIS_URL"]
    assert (one.role, one.policy, one.failing, one.group) == ("master", "noeviction", [], False)
    assert one.used_bytes > 0


async def test_a_redis_tells_its_policy_and_memory(tmp_path: Path, redis: Redis, redis_url: str) -> None:
    """As they are set now."""
    try:
        await redis.config_set("maxmemory-policy", "allkeys-lru")
        await redis.config_set("maxmemory", 100_000_000)
        (one,) = (await inspect(config(f"file://{tmp_path}", redis_url))).redis
    finally:
        await redis.config_set("maxmemory-policy", "noeviction")
        await redis.config_set("maxmemory", 0)

    assert (one.policy, one.max_bytes) == ("allkeys-lru", 100_000_000)
    assert abs(one.ahead_ms) <= one.unsure_ms + 1  # it is this machine's clock


async def test_a_store_that_overwrites_is_unfit(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once: nobody waits a minute for it."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    async with careless_store() as address:
        found = await inspect(config(address, redis_url))

    assert "8 of 8 concurrent PUTs with If-None-Match: * succeeded" in found.store.unfit
    assert (found.store.raced, found.store.free_bytes, found.store.bounded) == (False, None, True)


def missing(found: Inspection) -> str:
    """Why the store could not be looked at."""
    assert not found.store.raced
    return found.store.error


async def test_a_missing_bucket_or_folder_is_not_made(minio_url: str, redis_url: str, tmp_path: Path) -> None:
    """It is told."""
    gone = tmp_path / "gone"
    assert "there is no folder" in missing(await inspect(config(f"file://{gone}", redis_url)))
    assert not gone.exists()

    address = f"s3://never-made?endpoint={minio_url}&region=us-east-1"
    assert "there is no bucket never-made" in missing(await inspect(config(address, redis_url)))
    assert "there is no bucket never-made" in missing(await inspect(config(address, redis_url)))


async def test_one_shard_that_is_away_hides_nothing_of_the_other(
    tmp_path: Path, redis_url: str, free_port: int
) -> None:
    """Each Redis is looked at once; the one that is away says why."""
    away = f"redis://:hidden@127.0.0.1:{free_port}/0"
    found = await inspect(config(f"file://{tmp_path}", redis_url, f"{redis_url},{away}"))

    assert [bool(one.error) for one in found.redis] == [False, True]
    assert "Error 111" in found.redis[1].error
    assert "hidden" not in repr(found)
    assert [path.name for path in tmp_path.iterdir()] == [".incoming"]
