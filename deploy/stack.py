"""`stack.json`: the running processes of a stack, for people and for other programs.

While a program is being restarted, its pid is that of the previous process. After a stack has stopped, its lists are
empty.
"""

from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

FILE: Final = "stack.json"


class Process(msgspec.Struct, frozen=True):
    """A process that has no address."""

    pid: int


class Server(msgspec.Struct, frozen=True):
    """A Redis or MinIO server that the stack runs itself."""

    name: str
    pid: int


class Balancer(msgspec.Struct, frozen=True):
    """A balancer: `url` is for clients, `admin` for operators."""

    url: str
    admin: str
    pid: int


class Node(msgspec.Struct, frozen=True):
    """An upload node; `id` and `url` stay the same over restarts."""

    id: str
    url: str
    pid: int


class Page(msgspec.Struct, frozen=True):
    """The `/metrics` of a process; `tier` is balancer, node, worker or autoscaler, as Prometheus labels it."""

    tier: str
    name: str
    url: str


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """The output of `up --json`: balancers, nodes, the addresses of Redis and the store, and the state directory."""

    balancers: tuple[Balancer, ...]
    nodes: tuple[Node, ...]
    redis: str
    store: str
    state: str


class Stack(Ready, frozen=True, kw_only=True):
    """The content of `stack.json`: that of `Ready`, the other processes, and counts of rolling restarts."""

    workers: tuple[Process, ...]
    autoscaler: Process | None
    servers: tuple[Server, ...]
    shards: tuple[str, ...] = ()  # Addresses of the Redis that share the posts; empty: all are at `redis`.
    supervisor: Process
    metrics: tuple[Page, ...] = ()
    targets: str = ""  # Prometheus' HTTP service discovery, served by the autoscaler.
    prometheus: str | None = None
    rolls_begun: int = 0
    rolls: int = 0  # Rolling restarts that succeeded.
    rolls_broken: int = 0  # Rolling restarts that failed.
    broken: str = ""  # Why the last one failed.

    def ready(self) -> Ready:
        """The part that `up --json` prints."""
        return Ready(balancers=self.balancers, nodes=self.nodes, redis=self.redis, store=self.store, state=self.state)

    def stopped(self) -> "Stack":
        """The content after the stack has stopped: no processes but the supervisor."""
        gone = {"balancers": (), "nodes": (), "workers": (), "autoscaler": None, "servers": ()}
        return msgspec.structs.replace(self, **gone, metrics=(), targets="", prometheus=None)


def write(stack: Stack, state: Path) -> None:
    """Replace `stack.json` in the state directory."""
    # rename(2) is atomic: a reader gets either the old content or the new, never a part.
    fresh = state / f"{FILE}.new"
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(stack), indent=2) + b"\n")
    fresh.replace(state / FILE)


def clear(state: Path) -> None:
    """Rewrite `stack.json`, if it exists, to list no running processes."""
    # A file that is missing or damaged names no process that a reader could take for a running one.
    with suppress(OSError, msgspec.MsgspecError):
        write(read(state).stopped(), state)


def read(state: Path) -> Stack:
    """Read `stack.json`; FileNotFoundError before the first write, msgspec.MsgspecError when it is malformed."""
    return msgspec.json.decode((state / FILE).read_bytes(), type=Stack)
