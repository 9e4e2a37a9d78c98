"""What there is to scrape, for Prometheus' HTTP service discovery: programs announce their `/metrics` in Redis.

Workers, autoscalers and balancers (`lb/membership/announcing.py`) write their address every few seconds; nodes are read
from the heartbeats that balancers read. A program that stops in order removes its address. One that vanishes stays
listed for ten minutes, so that Prometheus sees that it does not answer, and can alert.
"""

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator, Mapping
from typing import Final, Literal

import msgspec
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis
from redis.exceptions import RedisError

from storage.advertised import own_host
from storage.keys import NODES_KEYS, TARGETS_KEY
from storage.refusals import reason
from storage.scripts import Script, run_one

from ..metrics import View, exposed

log = logging.getLogger("snapsurge.processors.targets")

Tier = Literal["balancer", "node", "worker", "autoscaler"]

EVERY_S = 5.0
KEPT_MS = 600_000
# A name or an address; nothing that could be a path, a query or a user in a URL.
_HOST: Final = re.compile(r"[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]")
# The same text as in lb/membership/announcing.py.
ANNOUNCE = f"""
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
redis.call('ZADD', KEYS[1], string.format('%.0f', ms), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', ms - {KEPT_MS}))
redis.call('ZREMRANGEBYSCORE', KEYS[1], string.format('%.0f', ms + {KEPT_MS}), '+inf')
"""
_ANNOUNCE = Script(ANNOUNCE)
# An entry of the future is from before TIME was set back: it goes after ten minutes too.
_FIND = Script(f"""
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
local since, till = string.format('%.0f', ms - {KEPT_MS}), string.format('%.0f', ms + {KEPT_MS})
local found, nodes = call('ZRANGEBYSCORE', KEYS[1], since, till), {{}}
for _, name in ipairs(call('ZRANGEBYSCORE', KEYS[3], since, till)) do
  local entry = call('HGET', KEYS[2], name)
  if entry then nodes[#nodes + 1], nodes[#nodes + 2] = name, entry end
end
return {{found, nodes}}
""")


class Target(msgspec.Struct, frozen=True, omit_defaults=True):
    """A program's tier, the `host:port` of its `/metrics`, and of workers host and process id."""

    tier: Tier
    address: str
    process: str = ""

    @property
    def labels(self) -> dict[str, str]:
        """The target's labels; Prometheus drops those that begin with `__` before it stores anything."""
        return {"tier": self.tier} | ({"__meta_snapsurge_process": self.process} if self.process else {})


class Group(msgspec.Struct, frozen=True):
    """An element of Prometheus' HTTP service discovery."""

    targets: tuple[str, ...]
    labels: dict[str, str]


class _Node(msgspec.Struct, frozen=True):
    address: str


def advertised(host: str, port: int) -> str:
    """The address for others; this machine's own if the program listens on all, as in a container."""
    host = own_host(host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def scrapable(address: str) -> str:
    """The address as it stands in a URL, where nodes write IPv6 without brackets; ValueError if it is not host:port."""
    host, _, port = address.rpartition(":")
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    if not _HOST.fullmatch(host) or not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 65536:
        raise ValueError(f"{address!r} is not host:port")
    return f"{host}:{port}"


async def found(redis: Redis) -> list[Group]:
    """All programs that announced themselves in the last ten minutes; redis.RedisError."""
    said, nodes = await run_one(redis, _FIND([TARGETS_KEY, *NODES_KEYS[:2]]))
    groups = [Group((one.address,), one.labels) for one in _read(said)]
    for name, raw in zip(nodes[::2], nodes[1::2], strict=True):
        with contextlib.suppress(ValueError, RecursionError):
            address = scrapable(msgspec.json.decode(raw, type=_Node).address)
            groups.append(Group((address,), {"tier": "node", "node": name.decode()}))
    return sorted(groups, key=lambda group: (group.labels["tier"], group.targets))


def _read(said: list[bytes]) -> list[Target]:
    """The readable entries; what cannot be read was not written by a program of this version."""
    read = []
    for raw in said:
        with contextlib.suppress(ValueError, RecursionError):
            one = msgspec.json.decode(raw, type=Target)
            read.append(msgspec.structs.replace(one, address=scrapable(one.address)))
    return read


@contextlib.asynccontextmanager
async def serving(
    listen: tuple[str, int] | None,
    registry: CollectorRegistry,
    redis: Redis,
    tier: Tier,
    *,
    views: Mapping[str, View] | None = None,
    process: str = "",
) -> AsyncIterator[None]:
    """Serve `/metrics` and the views inside the block, and announce it; neither without an address."""
    async with exposed(listen, registry, views) as port:
        if listen is None or port is None:
            yield
            return
        async with announced(redis, Target(tier, advertised(listen[0], port), process)):
            yield


@contextlib.asynccontextmanager
async def announced(redis: Redis, target: Target) -> AsyncIterator[None]:
    """Announce the target inside the block; without Redis it is announced as soon as Redis answers."""
    entry = msgspec.json.encode(target)
    async with asyncio.TaskGroup() as tasks:
        announcing = tasks.create_task(_announcing(redis, entry), name="announce")
        try:
            yield
        finally:
            announcing.cancel()
            with contextlib.suppress(RedisError, OSError):
                await redis.zrem(TARGETS_KEY, entry)


async def _announcing(redis: Redis, entry: bytes) -> None:
    away = False
    while True:
        try:
            await run_one(redis, _ANNOUNCE([TARGETS_KEY], entry))
            away = False
        except (RedisError, OSError) as error:
            if not away:
                log.warning("cannot write the address of /metrics to Redis, retrying: %s", reason(error))
            away = True
        await asyncio.sleep(EVERY_S)
