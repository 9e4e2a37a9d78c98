"""Reads the nodes' heartbeats from Redis as differences: one script call a second, empty while nothing changes.

Nodes write with `ingest/heartbeat.py`, the balancer only reads. A poll returns the entries changed since the last
version, the late heartbeats, and how many are in time.
"""

import logging
from collections.abc import Awaitable
from typing import cast

import msgspec
from redis.asyncio import ConnectionPool, Redis
from redis.exceptions import ResponseError

from ..config import Config
from ..placement.node import Member
from ..placement.slots import WEIGHT_MAX
from ..redis_address import closed_early, read
from .roster import Poll
from .sentinels import PrimaryConnection, Sentinels

# Hash: node id to JSON `{"address", "weight", "zone", "state": "serving" | "draining"}`.
# Sorted set `beats`: node id by the Redis TIME, in unix ms, of its last heartbeat (every second).
# Sorted set `changes`: node id by the version at which its entry changed or went, kept for an hour.
# String `version`: the last of those versions, growing like unix ms, also over a restart of Redis.
KEYS = ("snapsurge:nodes", "snapsurge:nodes:beats", "snapsurge:nodes:changes", "snapsurge:nodes:version")
Answer = tuple[int, bytes, int, int, list[bytes], list[bytes]]
# What an ACL rule must contain, so that its user may poll, and announce the balancer (`announcing.py`).
RIGHTS = (
    "~snapsurge:nodes* ~snapsurge:targets +eval +get +hget +hgetall +time +zadd +zcard +zrange +zrangebyscore +zrem "
    "+zremrangebyscore"
)
# All entries are also read when the version is unknown or too old, and after a failed poll. This one notices a writer
# that does not set versions. It also names the nodes that were removed since the last version.
FULL_EVERY = 15  # Every 15th poll reads all entries.

# A read-only replica must not answer, because it may be out of date: this is declared as a script that writes, which a
# replica (from Redis 7.0 on) refuses. A heartbeat in the future is late: TIME was set back, and the node has not
# written since.
_POLL = """#!lua
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
local version = redis.call('GET', KEYS[4]) or ''
if ARGV[3] == '1' or ARGV[1] == '' or version == '' or (version ~= ARGV[1] and tonumber(ARGV[1]) < ms - 3600000) then
  local beats = redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES')
  local entries = redis.call('HGETALL', KEYS[1])
  if ARGV[1] ~= '' then
    for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '(' .. ARGV[1], '+inf')) do
      if not redis.call('HGET', KEYS[1], name) then
        entries[#entries + 1] = name
        entries[#entries + 1] = ''
      end
    end
  end
  return {1, version, ms, 0, beats, entries}
end
local late = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', string.format('(%.0f', ms - ARGV[2]), 'WITHSCORES')
local ahead = redis.call('ZRANGEBYSCORE', KEYS[2], string.format('(%.0f', ms + ARGV[2]), '+inf', 'WITHSCORES')
for _, word in ipairs(ahead) do late[#late + 1] = word end
local changed = {}
if version ~= ARGV[1] then
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '(' .. ARGV[1], '+inf')) do
    changed[#changed + 1] = name
    changed[#changed + 1] = redis.call('HGET', KEYS[1], name) or ''
  end
end
return {0, version, ms, redis.call('ZCARD', KEYS[2]) - #late / 2, late, changed}
"""


class Entry(msgspec.Struct, frozen=True):
    """A node's JSON value in the hash."""

    address: str
    weight: int = 1
    zone: str = ""
    state: str = "serving"


def checked_address(address: str) -> str:
    """Return the address if it is host:port; raises ValueError otherwise."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"{address!r} is not host:port")
    return address


def parse_entry(name: bytes, raw: bytes) -> Member | None:
    """The member that a node wrote; None for an entry that cannot be read."""
    try:
        entry = msgspec.json.decode(raw, type=Entry)
        return Member(
            id=name.decode(),
            address=checked_address(entry.address),
            weight=max(0, min(entry.weight, WEIGHT_MAX)),
            zone=entry.zone,
            state=entry.state,
        )
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def parse_poll(answer: Answer, late_ms: int) -> Poll:
    """The script's answer as a value."""
    full, _, now_ms, fresh, beats, entries = answer
    names = (name.decode(errors="replace") for name in entries[::2])
    pairs = zip(names, entries[::2], entries[1::2], strict=True)
    changed = {name: parse_entry(raw_name, raw) for name, raw_name, raw in pairs}
    scores = {name.decode(errors="replace"): float(score) for name, score in zip(beats[::2], beats[1::2], strict=True)}
    if not full:
        return Poll(changed=changed, late=frozenset(scores), fresh=fresh)
    late = frozenset(name for name, score in scores.items() if abs(now_ms - score) > late_ms)
    left = frozenset(
        name.decode(errors="replace") for name, raw in zip(entries[::2], entries[1::2], strict=True) if not raw
    )
    beatless = frozenset(changed.keys() - scores.keys() - left)
    return Poll(changed=changed, late=late, fresh=len(scores) - len(late), full=True, beatless=beatless, left=left)


class _Pool(ConnectionPool):
    """A pool that also closes its connections to the Sentinels."""

    sentinels: Sentinels | None = None

    async def disconnect(self, inuse_connections: bool = True) -> None:  # noqa: FBT001, FBT002 - redis-py's
        """Close all connections, with redis-py's parameters."""
        await super().disconnect(inuse_connections)
        if self.sentinels:
            await self.sentinels.aclose()


def connect(config: Config) -> Redis:
    """A Redis client that bounds the time to connect and does not retry; the caller bounds the time of a call."""
    # No `socket_timeout`: with one, redis-py sends under `asyncio.wait_for`, which loses cancellations on Python 3.11
    # (python/cpython#86296), also those of an `asyncio.timeout`.
    address, limit_s = read(config.redis_url), config.redis_timeout_ms / 1000
    pool = _Pool(**{"socket_connect_timeout": limit_s} | address.options)
    logging.getLogger("asyncio").addFilter(closed_early)
    if address.sentinels:
        # A poll has time left after the Sentinels were asked.
        pool.sentinels = Sentinels(address.primary, address.sentinels, limit_s=limit_s / 2)
        followed = {"sentinels": pool.sentinels}
        pool.connection_class = type("Connection", (PrimaryConnection, pool.connection_class), followed)
    return Redis.from_pool(pool)


class Heartbeats:
    """Polls Redis and remembers the version of the last poll."""

    def __init__(self, late_ms: int) -> None:
        self._late_ms = late_ms
        self._version = ""
        self._polls = 0
        self._failed = False

    async def poll(self, client: Redis) -> Poll:
        """Poll once; raises what redis-py raises, and then the next poll reads all entries."""
        full = self._failed or self._polls % FULL_EVERY == 0
        self._failed = True
        call = client.eval(_POLL, len(KEYS), *KEYS, self._version, str(self._late_ms), str(int(full)))
        try:
            answer = await cast("Awaitable[Answer]", call)
        except ResponseError:
            # For example a demoted primary, which keeps its sessions: its address may lead to the new primary by now.
            await client.connection_pool.disconnect()
            raise
        self._version, self._failed = answer[1].decode(), False
        self._polls += 1
        return parse_poll(answer, self._late_ms)
