"""The stack of a rehearsal: one that runs already, or one of its own; seen through `stack.json` and HTTP only.

`python -m deploy up` starts the own one, with everything that a fault may need: two balancers, three nodes, a Redis
with Sentinels, two shards and a MinIO. Its programs expose their metrics; those of a given stack may not.
"""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from ..errors import BenchError
from ..peers.started import ROOT, free_port

WORKERS_MAX: Final = 2
OWN: Final = (
    *("--port", "0", "--balancers", "2", "--nodes", "3", "--workers-min", "1", "--workers-max", str(WORKERS_MAX)),
    *("--store", "minio", "--redis-sentinel", "--redis-shards", "2"),
)
END_S: Final = 60.0


class StackError(BenchError):
    """There is no stack to rehearse at; the text says why."""


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
    """A node."""

    id: str
    url: str
    pid: int


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """The part of `stack.json` that a rehearsal uses."""

    balancers: tuple[Balancer, ...]
    nodes: tuple[Node, ...]
    workers: tuple[Process, ...] = ()
    autoscaler: Process | None = None
    servers: tuple[Server, ...] = ()
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


class Place(msgspec.Struct, frozen=True):
    """Where a stack is found: its file, and addresses of `/metrics` that the file does not name, by program."""

    file: Path
    more: dict[str, str] = {}

    def record(self) -> Record:
        """What runs now; StackError when nothing does."""
        try:
            found = msgspec.json.decode(self.file.read_bytes(), type=Record)
        except (OSError, msgspec.MsgspecError) as error:
            raise StackError(f"{self.file} describes no stack: {error}") from error
        if not found.balancers or not found.nodes:
            raise StackError(f"{self.file}: nothing runs there")
        return found

    def metrics(self) -> dict[str, str]:
        """Every known `/metrics`, by program: balancers at their admin address, nodes, and what `more` names."""
        record = self.record()
        return {
            **{f"lb-{number}": f"{one.admin}/metrics" for number, one in enumerate(record.balancers, 1)},
            **{f"node-{one.id}": f"{one.url}/metrics" for one in record.nodes},
            **self.more,
        }


@contextlib.asynccontextmanager
async def own_stack(folder: Path) -> AsyncIterator[Place]:
    """Run a stack with its state in the folder until the block ends; StackError when it does not start."""
    scaler, workers = free_port(), _free_block(WORKERS_MAX)
    settings = {
        "SNAPSURGE_PROCESSORS_AUTOSCALER_LISTEN": f"127.0.0.1:{scaler}",
        "SNAPSURGE_PROCESSORS_LISTEN": f"127.0.0.1:{workers}",
    }
    words = [f"{name}={value}" for name, value in settings.items()]
    said = folder / "up.log"
    with said.open("wb") as log:
        running = await asyncio.create_subprocess_exec(
            *("env", *words, sys.executable, "-m", "deploy", "up", "--json", "--state", str(folder / "state"), *OWN),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
    try:
        if running.stdout is None or not await running.stdout.readline():
            raise StackError(f"the stack did not start: {said.read_text(errors='replace').strip()[-500:]}")
        more = {f"worker-{n + 1}": f"http://127.0.0.1:{workers + n}/metrics" for n in range(WORKERS_MAX)}
        yield Place(folder / "state" / "stack.json", {"autoscaler": f"http://127.0.0.1:{scaler}/metrics", **more})
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


def _free_block(count: int) -> int:
    """The first of so many successive ports on which nothing listens: the n-th worker adds n to its address."""
    while True:
        first = free_port()
        with contextlib.ExitStack() as bound:
            try:
                for port in range(first, first + count):
                    bound.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
        return first
