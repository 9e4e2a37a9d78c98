"""Readiness checks: one for each kind of program in the stack, over the program's own protocol.

Each check returns True or False. A program that cannot be reached is not ready; the reason is in its log.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final
from urllib.parse import parse_qs, quote, urlsplit

import aiohttp
import msgspec
import psutil
from redis.asyncio import Redis
from redis.exceptions import RedisError

# Of one check. A check that fails is repeated until the start's deadline, so that it may be short.
PATIENCE_S: Final = 2.0
HEALTHY: Final = "healthy"


class SeenNode(msgspec.Struct, frozen=True):
    """A row of a balancer's `/nodes`: the fields that these checks use."""

    id: str
    address: str
    state: str


class SeenTarget(msgspec.Struct, frozen=True):
    """An element of the autoscaler's `/v1/targets`."""

    targets: tuple[str, ...]
    labels: dict[str, str]


async def redis_answers(url: str) -> bool:
    """Whether Redis has loaded its data and answers a PING; of Sentinels, whether one of them answers.

    ValueError when the URL is malformed, without any part of it, because that might be the password.
    """
    try:
        # A list, because any() takes no asynchronous generator.
        return any([await _holds(each, _pings) for each in _servers(url)])
    except (ValueError, TypeError, AttributeError):  # redis-py takes parameters as they are
        raise ValueError("not the address of a Redis; special characters in passwords are percent-encoded") from None


def _servers(url: str) -> list[str]:
    """The address itself, or that of each Sentinel in it."""
    parts = urlsplit(url)
    scheme, _, kind = parts.scheme.partition("+")
    if kind != "sentinel":
        return [url]
    query = parse_qs(parts.query)  # A Sentinel has credentials of its own, and no databases.
    user, password = (query.get(f"sentinel_{name}", [""])[0] for name in ("username", "password"))
    login = f"{quote(user, '')}:{quote(password, '')}@" if password else ""
    tls = "&".join(f"{name}={quote(values[0])}" for name, values in query.items() if name.startswith("ssl_"))
    return [f"{scheme}://{login}{host}?{tls}" for host in parts.netloc.rpartition("@")[2].split(",")]


async def redis_follows(url: str) -> bool:
    """Whether this Redis is a replica that has taken over its primary's data."""

    async def follows(client: Redis) -> bool:
        return bool((await client.info("replication")).get("master_link_status") == "up")

    return await _holds(url, follows)


async def can_fail_over(url: str, primary: str) -> bool:
    """Whether this Sentinel knows a replica of the primary, and enough other Sentinels for a failover."""

    async def can(client: Redis) -> bool:
        replicas: int = (await client.sentinel_master(primary))["num-slaves"]  # type: ignore[no-untyped-call] # redis-py's
        return replicas > 0 and bool(await client.execute_command("SENTINEL", "CKQUORUM", primary))  # type: ignore[no-untyped-call] # redis-py's

    return await _holds(url, can)


async def _pings(client: Redis) -> bool:
    return bool(await client.ping())


async def _holds(url: str, asked: Callable[[Redis], Awaitable[bool]]) -> bool:
    """Ask a new client of this server; False when the server does not answer."""
    client = Redis.from_url(url, socket_timeout=PATIENCE_S, socket_connect_timeout=PATIENCE_S)
    try:
        return await asked(client)
    except (RedisError, OSError):
        return False
    finally:
        await client.aclose()


async def serves(session: aiohttp.ClientSession, url: str) -> bool:
    """Whether a GET of `url` is answered with 200."""
    return await _body(session, url) is not None


async def knows_all(session: aiohttp.ClientSession, admin: str, nodes: Mapping[str, str]) -> bool:
    """Whether a balancer considers every node of `nodes` (id to host:port) healthy, at that address."""
    body = await _body(session, f"{admin}/nodes")
    if body is None:
        return False
    try:
        rows = msgspec.json.decode(body, type=tuple[SeenNode, ...])
    except msgspec.MsgspecError:
        return False
    healthy = {row.id: row.address for row in rows if row.state == HEALTHY}
    return nodes.items() <= healthy.items()


async def worker_pages(session: aiohttp.ClientSession, targets: str) -> dict[int, str]:
    """The `/metrics` of the workers that announced one, by process id; those on this machine alone are of use."""
    body = await _body(session, targets)
    try:
        groups = msgspec.json.decode(body or b"[]", type=tuple[SeenTarget, ...])
    except msgspec.MsgspecError:
        return {}
    found = {}
    for group in groups:
        _, _, pid = group.labels.get("__meta_snapsurge_process", "").rpartition(":")
        if pid.isdecimal() and group.targets:
            found[int(pid)] = f"http://{group.targets[0]}/metrics"
    return found


def children(pid: int) -> tuple[int, ...]:
    """The pids of a process's living children, in ascending order."""
    try:
        found = psutil.Process(pid).children()
    except psutil.NoSuchProcess:
        return ()
    return tuple(sorted(child.pid for child in found if _lives(child)))


def _lives(process: psutil.Process) -> bool:
    try:
        # A zombie has ended, and only waits to be reaped.
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


async def _body(session: aiohttp.ClientSession, url: str) -> bytes | None:
    try:
        async with session.get(url, timeout=aiohttp.ClientTimeout(total=PATIENCE_S)) as answer:
            body = await answer.read()
            return body if answer.status == 200 else None
    except (aiohttp.ClientError, TimeoutError, OSError):
        return None
