"""The stack that is overloaded: a real MinIO behind the throttle, Redis, one node, one balancer, and no worker."""

import asyncio
import os
import signal
import urllib.parse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import psutil

from ..peers import backing
from ..peers.deployed import Record, deployed, read
from ..throttle import Throttle
from .rows import BUDGET_MIB, Phase, Sample

ENVIRONMENT: Final = (
    f"SNAPSURGE_INGEST_IN_FLIGHT_BYTES_MAX={BUDGET_MIB * 2**20}",
    f"SNAPSURGE_INGEST_PHOTO_BYTES_MAX={BUDGET_MIB * 2**20 // 4}",  # one pair of the largest must fit
    "AWS_EC2_METADATA_DISABLED=true",
)
SAMPLE_S: Final = 0.25


class Stack:
    """The running stack: its URL and the processes that are measured."""

    def __init__(self, record: Record) -> None:
        self.url = record.balancers[0].url
        self._lb, self._node = psutil.Process(record.balancers[0].pid), psutil.Process(record.nodes[0].pid)
        self._idle = self._node.memory_info().rss

    async def watch(self, phase: Phase) -> None:
        """Add a sample to the phase at intervals until cancelled."""
        while True:
            node_s, lb_s = (sum(each.cpu_times()[:2]) for each in (self._node, self._lb))
            rss = self._node.memory_info().rss - self._idle
            phase.samples.append(Sample(rss, node_s, lb_s, len(phase.accepted), len(phase.shed)))
            await asyncio.sleep(SAMPLE_S)


@asynccontextmanager
async def overloaded_stack(folder: Path, bytes_s: float) -> AsyncIterator[tuple[Stack, Throttle]]:
    """Start a stack and the throttle in front of its store."""
    with backing.minio(folder) as (url, _):
        port = urllib.parse.urlsplit(url).port or 0
        async with Throttle(("127.0.0.1", port), bytes_s).listening() as throttle:
            endpoint = f"http://127.0.0.1:{throttle.port}"
            async with _up(folder / "state", f"s3://snapsurge?endpoint={endpoint}&region={backing.REGION}") as stack:
                yield stack, throttle


@asynccontextmanager
async def _up(state: Path, store: str) -> AsyncIterator[Stack]:
    """Run `deploy up` and stop its autoscaler with SIGSTOP."""
    sizes = ("--nodes", "1", "--balancers", "1", "--workers-min", "0", "--workers-max", "1")
    async with deployed(state, "--store", store, *sizes, environment=[*backing.credentials(), *ENVIRONMENT]) as file:
        record = read(file)
        (autoscaler,) = record.pids("autoscaler")
        # Stopped and not left out, because `up` waits for it; so no worker renders, and no sweep runs.
        os.kill(autoscaler, signal.SIGSTOP)
        try:
            yield Stack(record)
        finally:
            os.kill(autoscaler, signal.SIGCONT)
