"""Tells Redis the address of this balancer's `/metrics`, for Prometheus' service discovery (the autoscaler serves it).

Sorted set `snapsurge:targets`: JSON `{"tier": "balancer", "address": host:port}` by Redis' TIME, in unix ms. Without
Redis, or without the right to write there, the balancer works as before; only Prometheus does not find it by itself.
"""

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Any, Final, cast

from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, RedisError, ResponseError

from .heartbeats import RIGHTS

log = logging.getLogger("snapsurge.lb.announcing")

KEY = "snapsurge:targets"
EVERY_S = 5.0
KEPT_MS = 600_000
# An address for documentation, which nobody has: the system looks up its route, and nothing is sent.
ELSEWHERE: Final = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}
# The same text as in processors/scaling/targets.py.
ANNOUNCE = f"""
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
redis.call('ZADD', KEYS[1], string.format('%.0f', ms), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', ms - {KEPT_MS}))
redis.call('ZREMRANGEBYSCORE', KEYS[1], string.format('%.0f', ms + {KEPT_MS}), '+inf')
"""


def own_host(host: str, resolve: Callable[..., list[Any]] = socket.getaddrinfo) -> str:
    """The host; if it stands for all addresses, one of this machine, and its name where it has none but loopback.

    That of its name, or, where the name is unknown or means loopback (as on Debian), that of the default route.
    """
    if host not in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        return host
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    name = socket.gethostname()
    found: list[str] = []
    with contextlib.suppress(OSError, UnicodeError):
        found += [one[4][0] for one in resolve(name, None, family, socket.SOCK_STREAM)]
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as route:
        route.connect((ELSEWHERE[family], 9))
        found.append(route.getsockname()[0])
    return next((one for one in found if "%" not in one and not ip_address(one).is_loopback), name)


def advertised(host: str, port: int) -> str:
    """The address for others; this machine's own if the balancer listens on all, as in a container."""
    host = own_host(host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Announcing:
    """The announcements of one process; there are none before `begin`."""

    def __init__(self, client: Redis, timeout_s: float) -> None:
        self._client, self._timeout_s = client, timeout_s
        self._entry = ""
        self._said = False
        self._begun = asyncio.Event()

    def begin(self, host: str, port: int) -> None:
        """Announce this address from now on."""
        self._entry = json.dumps({"tier": "balancer", "address": advertised(host, port)}, separators=(",", ":"))
        self._begun.set()

    async def run(self) -> None:
        """Announce until cancelled, then take the address back; a successor with the same one announces it again."""
        await self._begun.wait()
        try:
            while True:
                await self.announce()
                await asyncio.sleep(EVERY_S)
        finally:
            await self.end()

    async def announce(self) -> None:
        """Announce once; logs a failure, but not each of a row."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await cast("Awaitable[object]", self._client.eval(ANNOUNCE, 1, KEY, self._entry))
            self._said = False
        except (RedisError, OSError, TimeoutError) as error:
            if not self._said:
                right = isinstance(error, NoPermissionError | ResponseError)
                more = f"; its user needs the ACL rule {RIGHTS}" if right else ""
                log.warning(
                    "cannot register this balancer's /metrics address in Redis, so Prometheus service discovery does "
                    "not list it: %s%s",
                    error,
                    more,
                )
            self._said = True

    async def end(self) -> None:
        """Take the address back; without Redis it goes after ten minutes."""
        if not self._entry:
            return
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(self._timeout_s):
                await self._client.zrem(KEY, self._entry)
