"""Tells the balancers, through Redis, that this node exists and whether it drains.

Hash `snapsurge:nodes`: node id to JSON `{"address", "weight", "zone", "state"}`; sorted set `snapsurge:nodes:beats`:
node id by the time of its last heartbeat, unix ms of Redis' own clock. Without Redis the node serves on: balancers keep
the members they know and check them themselves.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Literal

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

log = logging.getLogger("snapsurge.ingest.heartbeat")

_BEAT = """
local now = redis.call('TIME')
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], now[1] * 1000 + math.floor(now[2] / 1000), ARGV[1])
"""
_NODES, _BEATS = "snapsurge:nodes", "snapsurge:nodes:beats"


class Member(msgspec.Struct, frozen=True):
    """What a balancer learns of a node."""

    address: str
    weight: int
    zone: str
    state: Literal["serving", "draining"]


class Heartbeat:
    """One node's word to the balancers."""

    def __init__(self, redis: Redis, node_id: str, member: Callable[[], Member], period_s: float) -> None:
        self._redis = redis
        self._node_id = node_id
        self._member = member
        self._period_s = period_s
        self._heard = True

    async def beat(self) -> None:
        """Say it once; a Redis that does not listen is logged when it stops and when it starts again."""
        pipe = self._redis.pipeline(transaction=False)
        pipe.eval(_BEAT, 2, _NODES, _BEATS, self._node_id, msgspec.json.encode(self._member()).decode())
        try:
            await pipe.execute()
        except RedisError as error:
            if self._heard:
                log.warning("no heartbeat: %s", error)
            self._heard = False
        else:
            if not self._heard:
                log.warning("heartbeat again")
            self._heard = True

    async def run(self) -> None:
        """Say it until cancelled."""
        while True:
            await self.beat()
            await asyncio.sleep(self._period_s)

    async def leave(self) -> None:
        """Take the node out of the list; the balancers would notice its silence too."""
        pipe = self._redis.pipeline(transaction=False)
        pipe.hdel(_NODES, self._node_id)
        pipe.zrem(_BEATS, self._node_id)
        with contextlib.suppress(RedisError):
            await pipe.execute()
