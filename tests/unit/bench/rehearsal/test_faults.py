"""bench.rehearsal.faults: which stack can have which fault, and that each proves what it did to real processes."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import psutil
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bench.clock import SystemClock
from bench.peers.deployed import Record
from bench.rehearsal import faults
from bench.rehearsal.faults import FAULTS, NotStruck, Scene, Strike, endpoint, kill, late_autoscaler, store_away
from bench.rehearsal.stack import Place
from tests.unit.bench.peers.stacks import STACK

ASLEEP = (sys.executable, "-c", "import signal; signal.pause()")


@pytest.fixture
def pair() -> Iterator[tuple[int, int]]:
    """Two processes that do nothing; each is ended by its pid."""
    processes = [subprocess.Popen(ASLEEP) for _ in range(2)]
    for process in processes:
        until(process.pid, psutil.STATUS_SLEEPING)
    yield processes[0].pid, processes[1].pid
    for process in processes:
        process.kill()
        process.wait()


def until(pid: int, status: str) -> None:
    """Wait for a state of a process; the test's own limit ends the wait."""
    while psutil.Process(pid).status() != status:
        pass


class HastyClock(SystemClock):
    """Real time, in which nobody sleeps for long."""

    async def sleep(self, seconds: float) -> None:
        """A hundredth of a second at most."""
        await super().sleep(min(seconds, 0.01))


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """A scene whose stack file a test writes."""
    async with aiohttp.ClientSession() as session:
        yield Scene(Place(tmp_path / "stack.json"), session, HastyClock(), asyncio.Event())


def write(scene: Scene, **changed: Any) -> None:
    """The stack file."""
    scene.place.file.write_text(json.dumps(STACK | changed))


def test_a_fault_that_a_stack_cannot_have_says_why() -> None:
    """The whole stack can have all of them; a small one only the deaths of its own processes."""
    whole = msgspec.convert(STACK, Record)
    small = msgspec.convert(STACK | {"servers": [], "workers": [], "autoscaler": None}, Record)

    assert [fault.name for fault in FAULTS if fault.lacking(whole)] == []
    assert [fault.name for fault in FAULTS if not fault.lacking(small)] == ["node-killed", "balancer-killed"]
    reasons = {fault.name: fault.lacking(small) for fault in FAULTS}
    assert "--redis-sentinel" in reasons["redis-primary-killed"]
    assert "--redis-shards" in reasons["redis-shard-killed"]
    assert "--store minio" in reasons["store-slow"]


def test_the_first_endpoint_of_the_store_is_asked() -> None:
    """Of several."""
    assert endpoint(msgspec.convert(STACK, Record)) == "http://127.0.0.1:6"


async def test_a_kill_is_proven_by_an_end_and_a_successor(
    scene: Scene, pair: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a successor it is void; so is a pid that cannot be signalled."""
    victim, other = pair
    write(scene, nodes=[{"id": "a", "url": "http://node:3", "pid": victim}])
    with monkeypatch.context() as patch:
        patch.setattr(faults, "GONE_S", 1.0)
        for _ in range(2):
            with pytest.raises(NotStruck, match=r"another node runs|ends|cannot be signalled"):
                await kill("node", scene)

    sent = os.kill

    def supervised(pid: int, signum: int) -> None:
        sent(pid, signum)
        write(scene, nodes=[{"id": "a", "url": "http://node:3", "pid": os.getpid()}])

    monkeypatch.setattr(os, "kill", supervised)
    write(scene, nodes=[{"id": "a", "url": "http://node:3", "pid": other}])
    assert f"node {other} ended" in await kill("node", scene)


@pytest.mark.parametrize("answers", [False, True])
async def test_a_store_that_answers_was_not_away(scene: Scene, pair: tuple[int, int], answers: bool) -> None:  # noqa: FBT001
    """The process is stopped meanwhile and runs again afterwards, whatever came of it."""

    async def alive(_: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.add_routes([web.get("/minio/health/live", alive)])
    async with TestServer(app) as server:
        port = server.port if answers else 1
        write(scene, servers=[{"name": "minio", "pid": pair[0]}], store=f"s3://b?endpoint=http://127.0.0.1:{port}")
        if answers:
            with pytest.raises(NotStruck, match="answered True"):
                await store_away(scene)
        else:
            assert "stopped for 10 s, no answer" in await store_away(scene)
        await asyncio.to_thread(until, pair[0], psutil.STATUS_SLEEPING)


async def test_a_late_autoscaler_is_stopped_until_the_peak(scene: Scene, pair: tuple[int, int]) -> None:
    """And not after it."""
    write(scene, autoscaler={"pid": pair[0]})
    async with asyncio.TaskGroup() as group:
        strike = group.create_task(late_autoscaler(scene))
        await asyncio.to_thread(until, pair[0], psutil.STATUS_STOPPED)
        scene.peak.set()
    assert f"autoscaler {pair[0]} stopped" in strike.result()
    await asyncio.to_thread(until, pair[0], psutil.STATUS_SLEEPING)


@pytest.mark.parametrize("strike", [partial(kill, "node"), store_away, late_autoscaler])
async def test_a_process_of_another_stack_is_left_alone(scene: Scene, pair: tuple[int, int], strike: Strike) -> None:
    """A stack file of another machine names pids that are anything here."""
    pid = {"pid": pair[0]}
    nodes, servers = [{"id": "a", "url": "http://node:3", **pid}], [{"name": "minio", **pid}]
    write(scene, nodes=nodes, servers=servers, autoscaler=pid, supervisor={"pid": pair[1]})

    with pytest.raises(NotStruck, match="nothing was signalled"):
        await strike(scene)
    await asyncio.to_thread(until, pair[0], psutil.STATUS_SLEEPING)
