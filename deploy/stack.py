"""`stack.json`: what runs in a stack, for people and for other programs. The record, and how it is written.

A file is replaced as a whole, so a reader meets the old record or the new one. The pid of a program that is being
started again is that of its last life until the next one has begun. A stack that has stopped lists nothing.
"""

from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

FILE: Final = "stack.json"


class Process(msgspec.Struct, frozen=True):
    """A process without an address of its own."""

    pid: int


class Server(msgspec.Struct, frozen=True):
    """Redis or MinIO, where the stack runs its own."""

    name: str
    pid: int


class Balancer(msgspec.Struct, frozen=True):
    """A balancer: where phones go, and where ops look."""

    url: str
    admin: str
    pid: int


class Node(msgspec.Struct, frozen=True):
    """An upload process; `id` and `url` stay the same over restarts."""

    id: str
    url: str
    pid: int


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """What `up --json` prints: addresses of the store and Redis, and who serves."""

    balancers: tuple[Balancer, ...]
    nodes: tuple[Node, ...]
    redis: str
    store: str
    state: str


class Stack(Ready, frozen=True, kw_only=True):
    """What `stack.json` holds: the same, and the processes behind."""

    workers: tuple[Process, ...]
    autoscaler: Process | None
    servers: tuple[Server, ...]
    supervisor: Process
    rolls_begun: int = 0
    rolls: int = 0  # rolling restarts done
    rolls_broken: int = 0  # broken off
    broken: str = ""  # why the last of these was

    def ready(self) -> Ready:
        """The part that `--json` prints."""
        return Ready(balancers=self.balancers, nodes=self.nodes, redis=self.redis, store=self.store, state=self.state)

    def stopped(self) -> "Stack":
        """The record after the end."""
        return msgspec.structs.replace(self, balancers=(), nodes=(), workers=(), autoscaler=None, servers=())


def write(stack: Stack, state: Path) -> None:
    """Replace `stack.json` in the state directory."""
    fresh = state / f"{FILE}.new"
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(stack), indent=2) + b"\n")
    fresh.replace(state / FILE)


def clear(state: Path) -> None:
    """Note that nothing runs any more, where a record is."""
    with suppress(OSError, msgspec.MsgspecError):
        write(read(state).stopped(), state)


def read(state: Path) -> Stack:
    """The record in the state directory; FileNotFoundError before the first one, msgspec.MsgspecError when mangled."""
    return msgspec.json.decode((state / FILE).read_bytes(), type=Stack)
