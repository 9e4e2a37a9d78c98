"""Registers this node with the balancers, through Redis, and tells them whether it drains.

Hash `snapsurge:nodes`: node id to JSON `{"address", "weight", "zone", "state"}`. Sorted set `snapsurge:nodes:beats`:
node id by the time of its last heartbeat, unix ms of Redis' own clock. So that balancers read only what changed, each
change or removal of an entry gets a new `snapsurge:nodes:version` (unix ms, or the last version plus one), by which
`snapsurge:nodes:changes` lists the entry for an hour. Without Redis the node continues to serve: balancers keep the
members that they know and check their health themselves.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Literal

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from storage.keys import NODES_KEYS
from storage.refusals import reason
from storage.scripts import Script, run_one

log = logging.getLogger("snapsurge.ingest.heartbeat")

# Once may be an old entry of a Redis that was restored; after that, one warning a minute or so.
OTHERS_MIN, OTHERS_SAID = 2, 60

_CHANGED = """
local function changed(ms)
  local before = tonumber(call('GET', KEYS[4]))
  local version = math.max(before and before > 0 and before < 1e15 and before + 1 or 0, ms)
  redis.call('SET', KEYS[4], string.format('%.0f', version))
  call('ZADD', KEYS[3], string.format('%.0f', version), ARGV[1])
  call('ZREMRANGEBYSCORE', KEYS[3], '-inf', string.format('%.0f', ms - 3600000))
end
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
"""
_BEAT = Script(
    _CHANGED
    + """
local before = call('HGET', KEYS[1], ARGV[1])
if before ~= ARGV[2] or ARGV[3] == '1' then
  call('HSET', KEYS[1], ARGV[1], ARGV[2])
  changed(ms)
end
call('ZADD', KEYS[2], string.format('%.0f', ms), ARGV[1])
return {string.format('%.0f', ms), before or ''}
"""
)
_LEAVE = Script(
    _CHANGED
    + """
call('HDEL', KEYS[1], ARGV[1])
call('ZREM', KEYS[2], ARGV[1])
changed(ms)
"""
)


class Member(msgspec.Struct, frozen=True):
    """A node's entry, as balancers read it."""

    address: str
    weight: int
    zone: str
    state: Literal["serving", "draining"]


class Heartbeat:
    """The heartbeats of one node; each tells `compared` by how many seconds the node's clock is ahead of Redis'."""

    def __init__(
        self,
        redis: Redis,
        node_id: str,
        member: Callable[[], Member],
        period_s: float,
        compared: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._redis = redis
        self._node_id = node_id
        self._member = member
        self._period_s = period_s
        self._compared = compared
        self._heard = True
        self._written = b""
        self._replaced = 0

    async def beat(self, *, anew: bool = False) -> None:
        """Send one heartbeat; logs when Redis becomes unavailable and when it is back.

        `anew` registers the node as new, so that every balancer reads the entry again.
        """
        said = msgspec.json.encode(self._member()).decode()
        try:
            redis_ms, before = await run_one(self._redis, _BEAT(NODES_KEYS, self._node_id, said, int(anew)))
        except RedisError as error:
            if self._heard:
                log.warning("cannot write heartbeats to Redis, balancers keep the members they know: %s", reason(error))
            self._heard = False
        else:
            self._compared(time.time() - int(redis_ms) / 1000)
            self._look_for_another(bytes(before))
            if not self._heard:
                log.warning("heartbeats are written to Redis again")
            self._heard = True
            self._written = said.encode()

    def _look_for_another(self, before: bytes) -> None:
        """Warn when somebody writes over our entry, time after time: another node with our id."""
        if not self._written or before in (b"", self._written):
            return
        self._replaced += 1
        if self._replaced % OTHERS_SAID == OTHERS_MIN:
            log.warning(
                "another node uses the same id %s, at %s: balancers alternate between the two; give each node a "
                "unique --id",
                self._node_id,
                _address_in(before),
            )

    async def run(self) -> None:
        """Send heartbeats until cancelled."""
        while True:
            await self.beat()
            await asyncio.sleep(self._period_s)

    async def leave(self) -> None:
        """Remove the node from the list; without Redis, balancers notice the missing heartbeats."""
        with contextlib.suppress(RedisError):
            await run_one(self._redis, _LEAVE(NODES_KEYS, self._node_id))


def _address_in(entry: bytes) -> str:
    """The address in an entry that anybody may have written."""
    try:
        return msgspec.json.decode(entry, type=Member).address
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return "an unknown address"
