"""The stack of a rehearsal: one that runs already, or one of its own; seen through `stack.json` and HTTP only."""

import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import msgspec

from ..peers import deployed
from ..peers.started import free_port

WORKERS_MAX: Final = 2
# Everything that a fault may need.
OWN: Final = (
    *("--balancers", "2", "--nodes", "3", "--workers-min", "1", "--workers-max", str(WORKERS_MAX)),
    *("--store", "minio", "--redis-sentinel", "--redis-shards", "2"),
)


class Place(msgspec.Struct, frozen=True):
    """Where a stack is found: its file, and addresses of `/metrics` that the file does not name, by program."""

    file: Path
    more: dict[str, str] = {}

    def record(self) -> deployed.Record:
        """What runs now; StackError when nothing does."""
        return deployed.read(self.file)

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
    # Its programs expose their metrics; those of a given stack may not.
    words = [f"{name}={value}" for name, value in settings.items()]
    more = {f"worker-{n + 1}": f"http://127.0.0.1:{workers + n}/metrics" for n in range(WORKERS_MAX)}
    async with deployed.deployed(folder / "state", *OWN, environment=words) as file:
        yield Place(file, {"autoscaler": f"http://127.0.0.1:{scaler}/metrics", **more})


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
