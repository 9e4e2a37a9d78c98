"""Keeps each Redis in the leader's metrics: whether it answers, its memory, and what makes it unfit for a moment.

The faults are lines of `deploy check` (deploy/checks/redis_servers.py): another role than primary, a failed save, a
policy that evicts keys.

A queue over several shards is measured by those that answer, so its numbers do not show that one is away.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from prometheus_client import CollectorRegistry, Gauge
from redis.asyncio import Redis
from redis.exceptions import RedisError

from storage.config import Config
from storage.opening import addresses

from ..election import Election

EVERY_S: Final = 5.0
# The fields of INFO that say whether the last save succeeded.
PERSISTENCE: Final = ("rdb_last_bgsave_status", "aof_last_bgrewrite_status", "aof_last_write_status")
EVICTS_NOTHING: Final = "noeviction"
# By the names that the checks have in `deploy check`, without their `redis-`.
FAULTS: Final = ("role", "persistence", "eviction")


def faults(info: Mapping[str, Any]) -> set[str]:
    """Of `FAULTS` those that this INFO shows; what an old Redis does not tell is no fault."""
    found = {
        "role": info.get("role", "master") != "master",
        "persistence": any(info.get(key, "ok") != "ok" for key in PERSISTENCE),
        "eviction": info.get("maxmemory_policy", EVICTS_NOTHING) != EVICTS_NOTHING,
    }
    return {name for name in FAULTS if found[name]}


class RedisMetrics:
    """The metrics of Redis servers by name (`storage.redis_address`), which has no password.

    One that was not asked has no series: a new leader must not say that it is away.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._up = self._gauge("up", "1 while this Redis answers; 0: its jobs and index entries wait", registry)
        self._used = self._gauge(
            "memory_bytes", "Memory that this Redis uses, in bytes; near its limit it takes no more jobs", registry
        )
        self._max = self._gauge(
            "memory_max_bytes", "Memory limit of this Redis (maxmemory), in bytes; 0: none", registry
        )
        self._faults = Gauge(
            "snapsurge_redis_fault",
            "1 while this Redis has the problem of the label: `role`, it is not a primary; `persistence`, its last "
            "save failed and it refuses writes; `eviction`, it evicts keys when full. `python -m deploy check` says "
            "what to do",
            ["shard", "fault"],
            registry=registry,
        )

    def answered(self, name: str, info: Mapping[str, Any]) -> None:
        """This Redis says this of itself."""
        self._up.labels(name).set(1)
        self._used.labels(name).set(int(info.get("used_memory", 0)))
        self._max.labels(name).set(int(info.get("maxmemory", 0)))
        there = faults(info)
        for fault in FAULTS:
            self._faults.labels(name, fault).set(fault in there)

    def away(self, name: str) -> None:
        """This Redis does not answer."""
        self._up.labels(name).set(0)
        self._used.labels(name).set(0)
        self._max.labels(name).set(0)
        for fault in FAULTS:
            self._faults.labels(name, fault).set(0)

    def forget(self) -> None:
        """Nothing is known of any Redis."""
        for gauge in (self._up, self._used, self._max, self._faults):
            gauge.clear()

    @staticmethod
    def _gauge(name: str, text: str, registry: CollectorRegistry) -> Gauge:
        return Gauge(f"snapsurge_redis_{name}", text, ["shard"], registry=registry)


def servers(config: Config, redis: Redis, shards: Mapping[str, Redis]) -> dict[str, Redis]:
    """All Redis servers of a stack by name: the one of `SNAPSURGE_REDIS_URL`, a shard or not, and the shards."""
    return {addresses(config)["SNAPSURGE_REDIS_URL"]: redis, **shards}


async def asking(servers: Mapping[str, Redis], election: Election, registry: CollectorRegistry) -> None:
    """While elected, ask each server every `EVERY_S`; until cancelled."""
    metrics = RedisMetrics(registry)
    while True:
        if election.elected:
            await asyncio.gather(*(_asked(name, redis, metrics) for name, redis in servers.items()))
        else:
            metrics.forget()
        await asyncio.sleep(EVERY_S)


async def _asked(name: str, redis: Redis, metrics: RedisMetrics) -> None:
    try:
        info = await redis.info()
    except (RedisError, OSError):  # the autoscaler's tick and the shards log it
        metrics.away(name)
    else:
        metrics.answered(name, info)
