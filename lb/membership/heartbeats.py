"""The nodes' words in Redis, read as differences: one script call a second, its answer empty while nothing changes.

Nodes write with `ingest/heartbeat.py`, the balancer only reads:
- hash `snapsurge:nodes`: node id to JSON `{"address", "weight", "zone", "state": "serving" | "draining"}`;
- sorted set `snapsurge:nodes:beats`: node id by the Redis TIME, in unix ms, of its last heartbeat (every second);
- sorted set `snapsurge:nodes:changes`: node id by the version at which its entry changed or went, kept for an hour;
- string `snapsurge:nodes:version`: the last of those versions, growing like unix ms, also over a restart of Redis.

A look brings the entries changed since the version known, the beats that are late (one in the future is: TIME was set
back, and the node has not been heard since), and how many are in time. All
entries are read when the version is unknown or too old, and now and then in any case, so that a writer who leaves the
versions out is heard too. A Redis that takes no heartbeats is not believed: the look is declared as a script that
writes, which a replica (from Redis 7.0 on) refuses, and what was refused is dialled anew.
"""

from collections.abc import Awaitable
from typing import cast

import msgspec
import redis.asyncio
from redis.exceptions import ResponseError

from ..config import Config
from ..placement.health import Member
from ..placement.slots import WEIGHT_MAX
from .roster import Look

KEYS = ("snapsurge:nodes", "snapsurge:nodes:beats", "snapsurge:nodes:changes", "snapsurge:nodes:version")
Answer = tuple[int, bytes, int, int, list[bytes], list[bytes]]
WHOLE_EVERY = 15  # Looks between two at everything.

_LOOK = """#!lua
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
local version = redis.call('GET', KEYS[4]) or ''
if ARGV[1] == '' or version == '' or (version ~= ARGV[1] and tonumber(ARGV[1]) < ms - 3600000) then
  local beats = redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES')
  return {1, version, ms, 0, beats, redis.call('HGETALL', KEYS[1])}
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
    """A node's value in the hash."""

    address: str
    weight: int = 1
    zone: str = ""
    state: str = "serving"


def checked_address(address: str) -> str:
    """The address if it is host:port; raises ValueError."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"{address!r} is not host:port")
    return address


def parse_entry(name: bytes, raw: bytes) -> Member | None:
    """A member as its node wrote it; None for what cannot be read."""
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


def parse_look(answer: Answer, late_ms: int) -> Look:
    """What the script said."""
    whole, _, now_ms, fresh, beats, entries = answer
    names = (name.decode(errors="replace") for name in entries[::2])
    pairs = zip(names, entries[::2], entries[1::2], strict=True)
    changed = {name: parse_entry(raw_name, raw) for name, raw_name, raw in pairs}
    scores = {name.decode(errors="replace"): float(score) for name, score in zip(beats[::2], beats[1::2], strict=True)}
    if not whole:
        return Look(changed=changed, late=frozenset(scores), fresh=fresh)
    late = frozenset(name for name, score in scores.items() if abs(now_ms - score) > late_ms)
    mute = frozenset(changed.keys() - scores.keys())
    return Look(changed=changed, late=late, fresh=len(scores) - len(late), whole=True, mute=mute)


def connect(config: Config) -> "redis.asyncio.Redis":
    """A client that gives up quickly and does not retry by itself; its caller bounds the time of a call.

    With a `socket_timeout` redis-py would send under `asyncio.wait_for`, which loses cancellations on Python 3.11
    (python/cpython#86296), those of an `asyncio.timeout` too.
    """
    pool = redis.asyncio.ConnectionPool.from_url(
        config.redis_url, socket_connect_timeout=config.redis_timeout_ms / 1000
    )
    return redis.asyncio.Redis.from_pool(pool)


class Heartbeats:
    """Looks at Redis, remembering the version of the last look."""

    def __init__(self, late_ms: int) -> None:
        self._late_ms = late_ms
        self._version = ""
        self._looks = 0

    async def look(self, client: "redis.asyncio.Redis") -> Look:
        """One look; raises what Redis raises, and then the next look is at everything."""
        known = self._version if self._looks % WHOLE_EVERY else ""
        self._version = ""
        call = client.eval(_LOOK, len(KEYS), *KEYS, known, str(self._late_ms))
        try:
            answer = await cast("Awaitable[Answer]", call)
        except ResponseError:  # a demoted primary, say, which keeps its sessions; its address may lead elsewhere by now
            await client.connection_pool.disconnect()
            raise
        self._version = answer[1].decode()
        self._looks += 1
        return parse_look(answer, self._late_ms)
