"""Whom to ask: the programs of a stack file, or those behind URLs, and with which settings store and Redis are opened.

A URL is an admin address of a balancer, or the listener of a node, worker or autoscaler.
"""

import asyncio
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from .. import servers

FILE: Final = "stack.json"
INSPECT: Final = (sys.executable, "-m", "processors", "inspect")


class Target(msgspec.Struct, frozen=True):
    """A program's base URL; `kind` is empty until it has said what it is, `name` is for people.

    Without a URL `forward` is a command that opens a way to it. `address` is what balancers call it, if that differs
    from the URL; `error` says why it need not be asked.
    """

    url: str
    name: str
    kind: str = ""
    address: str = ""
    forward: tuple[str, ...] = ()
    error: str = ""

    @property
    def place(self) -> str:
        """What balancers call it."""
        return self.address or self.url.partition("://")[2]


class Where(msgspec.Struct, frozen=True, kw_only=True):
    """The programs, the settings for store and Redis where they are known, and the state directory if it is here.

    `inspect` is the command that looks at store and Redis; it runs on the machine of the program with the name
    `inspects`, or on this one.
    """

    targets: tuple[Target, ...]
    inspect: tuple[str, ...] = INSPECT
    inspects: str = ""
    environment: Mapping[str, str] = {}
    state: Path | None = None


class _Balancer(msgspec.Struct, frozen=True):
    admin: str


class _Node(msgspec.Struct, frozen=True):
    id: str
    url: str


class _Page(msgspec.Struct, frozen=True):
    """The `/metrics` of a program, which has its `/aboutz` beside it."""

    tier: str
    name: str
    url: str


class _Stack(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a stack file that is needed; see `stack.py`."""

    balancers: tuple[_Balancer, ...]
    nodes: tuple[_Node, ...]
    redis: str
    store: str
    state: str
    shards: tuple[str, ...] = ()
    servers: tuple[Mapping[str, str | int], ...] = ()
    metrics: tuple[_Page, ...] = ()


def of_stack(file: Path) -> Where:
    """The programs of a stack file; ValueError when it cannot be read."""
    try:
        found = msgspec.json.decode(file.read_bytes(), type=_Stack)
    except FileNotFoundError:
        raise ValueError(f"there is no stack file {file}: name one with --stack, or balancers with --url") from None
    except (OSError, msgspec.MsgspecError) as error:
        raise ValueError(f"the stack file {file} cannot be read: {error}") from error
    targets = [Target(one.admin, f"lb-{number}", "balancer") for number, one in enumerate(found.balancers, 1)]
    targets += [Target(one.url, one.id, "node") for one in found.nodes]
    targets += [
        Target(one.url.removesuffix("/metrics"), one.name, one.tier)
        for one in found.metrics
        if one.tier in {"worker", "autoscaler"}
    ]
    environment = {"SNAPSURGE_STORE_URL": found.store, "SNAPSURGE_REDIS_URL": found.redis}
    environment["SNAPSURGE_SHARD_URLS"] = ",".join(found.shards)
    if any(str(one.get("name", "")).startswith("minio") for one in found.servers):
        environment |= servers.minio_environment()
    state = Path(found.state)
    return Where(targets=tuple(targets), environment=environment, state=state if state.is_dir() else None)


async def of_urls(urls: list[str]) -> Where:
    """The programs behind URLs, one for each address of a name; ValueError for what is no URL."""
    targets = []
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"--url {url}: write http://host:port of an admin port or of a program's listener")
        # A name with several addresses (a headless service) is as many programs.
        found = await _addresses(parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))
        # Without a kind: what a program is, it says itself. The nodes are not named here, because balancers tell of
        # them.
        targets += [Target(f"{parts.scheme}://{address}", address) for address in found]
    return Where(targets=tuple(dict.fromkeys(targets)))


async def _addresses(host: str, port: int) -> list[str]:
    """Every address of a name with the port; the name itself if it has none, so that it is told as unreachable."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return [f"{host}:{port}"]
    bare = sorted({str(one[4][0]) for one in found})
    return [f"[{one}]:{port}" if ":" in one else f"{one}:{port}" for one in bare]
