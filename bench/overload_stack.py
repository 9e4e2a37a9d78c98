"""The stack that is overloaded: a real MinIO behind the throttle, Redis, one node, one balancer, and no worker.

`python -m deploy up` starts it; the autoscaler is stopped (SIGSTOP) as soon as all is ready, so that none renders.
Memory and CPU of node and balancer are read while a phase runs.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec
import psutil

from .overload_rows import Phase, Sample
from .peers.started import ROOT, free_port, process
from .throttle import Throttle

BUDGET_BYTES: Final = 32 * 2**20
KEYS: Final = {"AWS_ACCESS_KEY_ID": "snapsurge", "AWS_SECRET_ACCESS_KEY": "snapsurge-overload"}
ENVIRONMENT: Final = {"SNAPSURGE_INGEST_IN_FLIGHT_BYTES_MAX": str(BUDGET_BYTES), "AWS_EC2_METADATA_DISABLED": "true"}
SAMPLE_S: Final = 0.25


class _Pid(msgspec.Struct):
    pid: int
    url: str = ""


class _Record(msgspec.Struct):
    balancers: list[_Pid]
    nodes: list[_Pid]
    autoscaler: _Pid


class Stack:
    """What runs."""

    def __init__(self, record: _Record) -> None:
        self.url = record.balancers[0].url
        self._lb, self._node = psutil.Process(record.balancers[0].pid), psutil.Process(record.nodes[0].pid)
        self._idle = self._node.memory_info().rss

    async def watch(self, phase: Phase) -> None:
        """Sample until cancelled."""
        while True:
            node_s, lb_s = (sum(each.cpu_times()[:2]) for each in (self._node, self._lb))
            rss = self._node.memory_info().rss - self._idle
            phase.samples.append(Sample(rss, node_s, lb_s, len(phase.accepted), len(phase.shed)))
            await asyncio.sleep(SAMPLE_S)


@asynccontextmanager
async def overloaded_stack(folder: Path, bytes_s: float) -> AsyncIterator[tuple[Stack, Throttle]]:
    """A stack and the throttle before its store."""
    port = free_port()
    words = [f"MINIO_ROOT_USER={KEYS['AWS_ACCESS_KEY_ID']}", f"MINIO_ROOT_PASSWORD={KEYS['AWS_SECRET_ACCESS_KEY']}"]
    minio = ["env", *words, _minio(), "server", "--quiet", "--address", f"127.0.0.1:{port}"]
    with process([*minio, "--console-address", f"127.0.0.1:{free_port()}", str(folder / "minio")], port):
        async with Throttle(("127.0.0.1", port), bytes_s).listening() as throttle:
            endpoint = f"http://127.0.0.1:{throttle.port}"
            async with _up(folder / "state", f"s3://snapsurge?endpoint={endpoint}&region=us-east-1") as stack:
                yield stack, throttle


@asynccontextmanager
async def _up(state: Path, store: str) -> AsyncIterator[Stack]:
    """`deploy up`, its autoscaler stopped."""
    sizes = ("--nodes", "1", "--balancers", "1", "--workers-min", "0", "--workers-max", "1", "--port", "0")
    running = await asyncio.create_subprocess_exec(
        *("env", *(f"{name}={value}" for name, value in {**KEYS, **ENVIRONMENT}.items())),
        *(sys.executable, "-m", "deploy", "up", "--json", "--state", str(state), "--store", store, *sizes),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        if running.stdout is None or not await running.stdout.readline():
            raise RuntimeError(f"the stack did not start; see {state}/logs")
        record = msgspec.json.decode((state / "stack.json").read_bytes(), type=_Record)
        os.kill(record.autoscaler.pid, signal.SIGSTOP)
        try:
            yield Stack(record)
        finally:
            os.kill(record.autoscaler.pid, signal.SIGCONT)
    finally:
        if running.returncode is None:
            running.terminate()
            await running.wait()


def _minio() -> str:
    """Where the server is."""
    own = ROOT / ".tools" / "bin" / "minio"
    return str(own) if own.exists() else "minio"
