"""Our whole stack: started by `python -m deploy up`, and seen through its `stack.json` and HTTP only."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from ..errors import BenchError
from ..files import read_json
from .started import ROOT

END_S: Final = 60.0


class StackError(BenchError):
    """There is no such stack, or it did not start; the text says why."""


class Process(msgspec.Struct, frozen=True):
    """A process without an address."""

    pid: int


class Server(msgspec.Struct, frozen=True):
    """A Redis, a Sentinel or a MinIO."""

    name: str
    pid: int


class Balancer(msgspec.Struct, frozen=True):
    """A balancer: its addresses for clients and for operators."""

    url: str
    admin: str
    pid: int


class Node(msgspec.Struct, frozen=True):
    """A node of the stack: id, address and process."""

    id: str
    url: str
    pid: int


class Metrics(msgspec.Struct, frozen=True):
    """The address of a program's `/metrics`."""

    name: str
    url: str


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """The part of `stack.json` that a bench uses."""

    balancers: tuple[Balancer, ...]
    nodes: tuple[Node, ...]
    workers: tuple[Process, ...] = ()
    autoscaler: Process | None = None
    servers: tuple[Server, ...] = ()
    metrics: tuple[Metrics, ...] = ()
    supervisor: Process
    redis: str
    store: str

    def pids(self, tier: str) -> tuple[int, ...]:
        """The process ids of a tier: `balancer`, `node`, `worker`, `autoscaler`."""
        tiers: dict[str, Sequence[Balancer | Node | Process]] = {
            "balancer": self.balancers,
            "node": self.nodes,
            "worker": self.workers,
            "autoscaler": (self.autoscaler,) if self.autoscaler else (),
        }
        return tuple(one.pid for one in tiers[tier])

    def named(self, start: str) -> tuple[Server, ...]:
        """The servers whose name begins so."""
        return tuple(server for server in self.servers if server.name.startswith(start))


def read(file: Path) -> Record:
    """What runs now, by a `stack.json`; StackError when nothing does."""
    found = read_json(file, Record, "description of a stack", StackError)
    if not found.balancers or not found.nodes:
        raise StackError(f"{file}: nothing runs there")
    return found


@contextlib.asynccontextmanager
async def deployed(state: Path, *options: str, environment: Sequence[str] = ()) -> AsyncIterator[Path]:
    """Run a stack on a free port until the block ends, with its state in this folder; yields its `stack.json`.

    `environment` has variables as NAME=VALUE. StackError with the last words of a stack that does not start.
    """
    said = state.with_name(f"{state.name}.log")
    with said.open("wb") as log:
        running = await asyncio.create_subprocess_exec(
            *("env", *environment, sys.executable, "-m", "deploy", "up", "--json", "--port", "0"),
            *("--state", str(state), *options),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
    try:
        if running.stdout is None or not await running.stdout.readline():
            raise StackError(f"the stack did not start: {said.read_text(errors='replace').strip()[-500:]}")
        yield state / "stack.json"
    finally:
        await _stopped(running)


async def _stopped(running: asyncio.subprocess.Process) -> None:
    """End the stack: a first SIGTERM drains, a second one kills."""
    for _ in range(2):
        if running.returncode is not None:
            return
        running.send_signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_S):
                await running.wait()
