"""Who the nodes are: the static list, the heartbeats in Redis, and the snapshot on disk that outlives both.

Nodes write, the balancer only reads, once a second in one pipeline:
- hash `snapsurge:nodes`: field node id, value JSON
  `{"address":"127.0.0.1:9001","weight":1,"zone":"","state":"serving"|"draining"}`;
- sorted set `snapsurge:nodes:beats`: member node id, score the Redis TIME in unix ms of its last heartbeat (every 1 s).

Heartbeats say who exists and who drains; checks say who is healthy. A node whose beat is old, or that is missing, is
removed only after `members_gone_s`, and never while nobody beats: an empty, restarted or unreachable Redis changes
nothing ("hold"). The last membership is written to the snapshot, from which a balancer starts with Redis away.
"""

import asyncio
import contextlib
import logging
import os
import random
from collections.abc import Iterable
from pathlib import Path

import msgspec
import redis.asyncio
from redis.exceptions import RedisError

from .config import Config
from .fleet import Fleet
from .nodes import Member

log = logging.getLogger("snapsurge.lb.members")

NODES_KEY = "snapsurge:nodes"
BEATS_KEY = "snapsurge:nodes:beats"
BACKOFF_S_MAX = 5.0


class Entry(msgspec.Struct, frozen=True):
    """A node's value in the hash."""

    address: str
    weight: int = 1
    zone: str = ""
    state: str = "serving"


class Beat(msgspec.Struct, frozen=True):
    """One node as Redis has it; `age_s` by the clock of Redis."""

    member: Member
    age_s: float


class Known(msgspec.Struct, frozen=True):
    """A member and when its heartbeat was last fresh, by our clock."""

    member: Member
    seen: float


def checked_address(address: str) -> str:
    """The address if it is host:port; raises ValueError."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"{address!r} is not host:port")
    return address


def parse_option(option: str) -> Member:
    """`--node ID=HOST:PORT`; raises ValueError."""
    name, _, address = option.partition("=")
    if not name or not address:
        raise ValueError(f"--node {option}: use ID=HOST:PORT")
    return Member(id=name, address=checked_address(address))


def parse_beats(entries: dict[bytes, bytes], beats: dict[bytes, float], now_ms: float) -> list[Beat]:
    """What Redis said, without the entries that cannot be read."""
    found: list[Beat] = []
    for name, raw in entries.items():
        try:
            entry = msgspec.json.decode(raw, type=Entry)
            member = Member(
                id=name.decode(),
                address=checked_address(entry.address),
                weight=max(0, min(entry.weight, 100)),
                zone=entry.zone,
                state=entry.state,
            )
        except (msgspec.MsgspecError, ValueError):
            continue
        found.append(Beat(member, (now_ms - beats.get(name, 0.0)) / 1000))
    return found


def merge(known: dict[str, Known], beats: Iterable[Beat], *, now: float, gone_s: float) -> dict[str, Known]:
    """The membership after a look at Redis; what is known stays while nobody beats."""
    fresh = {beat.member.id: Known(beat.member, now) for beat in beats if beat.age_s <= gone_s}
    if not fresh:
        return known
    return {name: held for name, held in known.items() if now - held.seen < gone_s} | fresh


def read_snapshot(path: str) -> list[Member]:
    """The members of the last snapshot; none if there is none or it cannot be read."""
    if not path:
        return []
    try:
        members = msgspec.json.decode(Path(path).read_bytes(), type=list[Member])
        for member in members:
            checked_address(member.address)
    except FileNotFoundError:
        return []
    except (OSError, msgspec.MsgspecError, ValueError) as error:
        log.warning("snapshot %s cannot be read: %s", path, error)
        return []
    return members


def write_snapshot(path: str, members: list[Member]) -> None:
    """Replace the snapshot whole, so that a reader never sees half of it."""
    target = Path(path)
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        partial.write_bytes(msgspec.json.encode(members))
        partial.replace(target)
    except OSError as error:
        log.warning("snapshot %s cannot be written: %s", path, error)
        with contextlib.suppress(OSError):
            partial.unlink()


def connect(config: Config) -> "redis.asyncio.Redis":
    """A client that gives up quickly and does not retry by itself."""
    timeout_s = config.redis_timeout_ms / 1000
    pool = redis.asyncio.ConnectionPool.from_url(
        config.redis_url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s
    )
    return redis.asyncio.Redis.from_pool(pool)


class Membership:
    """Static members always, those from Redis as long as they are known."""

    def __init__(self, config: Config, fleet: Fleet, static: Iterable[Member]) -> None:
        self._config = config
        self._fleet = fleet
        self._static = list(static)
        now = asyncio.get_running_loop().time()
        kept = read_snapshot(config.snapshot) if config.redis_url else []
        self._known = {member.id: Known(member, now) for member in kept}
        self._away = False
        self._apply(now)

    def _apply(self, now: float) -> None:
        members = {member.id: member for member in self._members()}
        members |= {member.id: member for member in self._static}
        self._fleet.set_members(members.values(), now)

    def _members(self) -> list[Member]:
        return [self._known[name].member for name in sorted(self._known)]

    async def follow(self, client: "redis.asyncio.Redis") -> None:
        """Look at Redis once a second until cancelled; its absence slows nothing down."""
        failures = 0
        while True:
            failures = 0 if await self.try_look(client) else failures + 1
            pause = min(BACKOFF_S_MAX, self._config.members_s * 2.0 ** min(failures, 8))
            await asyncio.sleep(max(self._config.members_s, pause if failures else 0.0) * random.uniform(0.9, 1.1))

    async def try_look(self, client: "redis.asyncio.Redis") -> bool:
        """One look within its time; False when Redis is away."""
        try:
            async with asyncio.timeout(self._config.redis_timeout_ms / 1000):
                await self.look(client)
        except (RedisError, OSError, TimeoutError) as error:
            self._say(away=True, error=error)
            return False
        return True

    async def look(self, client: "redis.asyncio.Redis") -> None:
        """One look; raises what Redis raises."""
        async with client.pipeline(transaction=False) as pipe:
            pipe.hgetall(NODES_KEY)
            pipe.zrange(BEATS_KEY, 0, -1, withscores=True)
            pipe.time()
            entries, beats, (seconds, micros) = await pipe.execute()
        self._say(away=False)
        found = parse_beats(entries, dict(beats), seconds * 1000 + micros / 1000)
        now = asyncio.get_running_loop().time()
        before = self._members()
        self._known = merge(self._known, found, now=now, gone_s=self._config.members_gone_s)
        after = self._members()
        if after != before:
            self._apply(now)
            if self._config.snapshot:
                await asyncio.to_thread(write_snapshot, self._config.snapshot, after)

    def _say(self, *, away: bool, error: BaseException | None = None) -> None:
        """Log the change, not every failure."""
        if away != self._away:
            self._away = away
            if away:
                log.warning("Redis is away, holding %d members: %s", len(self._known), error)
            else:
                log.info("Redis is back")
