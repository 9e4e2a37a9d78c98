"""Keeps each Redis in the leader's metrics: whether it answers, and its memory, which must not reach its limit.

A queue over several shards is measured by those that answer, so its numbers do not show that one is away.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Gauge
from redis.asyncio import Redis
from redis.exceptions import RedisError

from storage.config import Config
from storage.opening import addresses

from .election import Election

EVERY_S: Final = 5.0


class RedisMetrics:
    """The metrics of these Redis servers by name (`storage.redis_address`), which have no passwords."""

    def __init__(self, registry: CollectorRegistry, names: Iterable[str]) -> None:
        self._up = self._gauge("up", "1 while this Redis answers; 0: its jobs and index entries wait", registry)
        self._used = self._gauge(
            "memory_bytes", "Memory that this Redis uses, in bytes; near its limit it takes no more jobs", registry
        )
        self._max = self._gauge("memory_max_bytes", "Its limit (maxmemory), in bytes; 0: none", registry)
        for name in names:
            self.away(name)

    def answered(self, name: str, used: int, limit: int) -> None:
        """This Redis uses so many bytes, and may use so many."""
        self._up.labels(name).set(1)
        self._used.labels(name).set(used)
        self._max.labels(name).set(limit)

    def away(self, name: str) -> None:
        """This Redis does not answer."""
        self._up.labels(name).set(0)
        self._used.labels(name).set(0)
        self._max.labels(name).set(0)

    @staticmethod
    def _gauge(name: str, text: str, registry: CollectorRegistry) -> Gauge:
        return Gauge(f"snapsurge_redis_{name}", text, ["shard"], registry=registry)


def servers(config: Config, redis: Redis, shards: Mapping[str, Redis]) -> dict[str, Redis]:
    """All Redis servers of a stack by name: the one of `SNAPSURGE_REDIS_URL`, a shard or not, and the shards."""
    return {addresses(config)["SNAPSURGE_REDIS_URL"]: redis, **shards}


async def asking(servers: Mapping[str, Redis], election: Election, registry: CollectorRegistry) -> None:
    """While elected, ask each server every `EVERY_S`; until cancelled."""
    metrics = RedisMetrics(registry, servers)
    while True:
        if election.elected:
            await asyncio.gather(*(_asked(name, redis, metrics) for name, redis in servers.items()))
        await asyncio.sleep(EVERY_S)


async def _asked(name: str, redis: Redis, metrics: RedisMetrics) -> None:
    try:
        info = await redis.info("memory")
    except (RedisError, OSError):  # the autoscaler's tick and the shards log it
        metrics.away(name)
    else:
        metrics.answered(name, int(info.get("used_memory", 0)), int(info.get("maxmemory", 0)))
