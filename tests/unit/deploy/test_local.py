"""The running stack: started in order, its record kept true, and what signals do to it."""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import msgspec
import psutil
import pytest

from deploy import local, stack
from deploy.config import Config
from deploy.local import LocalStack, interrupts, running
from deploy.plan import Options
from deploy.servers import ServerMissing
from deploy.supervisor import Supervisor

Stand = Callable[[], AbstractAsyncContextManager[LocalStack]]


async def record_where(state: Path, holds: Callable[[stack.Stack], bool]) -> stack.Stack:
    """The first record on disk for which this holds."""
    while True:
        try:
            found = stack.read(state)
        except (FileNotFoundError, msgspec.MsgspecError):
            found = None
        if found and holds(found):
            return found
        await asyncio.to_thread(os.sched_yield)


async def test_a_stack_starts_is_recorded_and_leaves_nothing(stand: Stand, tmp_path: Path) -> None:
    """Every process of the record lives while the stack does, and none afterwards."""
    async with stand() as running_stack:
        found = await record_where(tmp_path, lambda record: len(record.metrics) == 4)
        assert found == running_stack.record()
        assert [page.tier for page in found.metrics] == ["balancer", "node", "worker", "autoscaler"]
        assert found.metrics[2] == stack.Page("worker", f"worker-{found.workers[0].pid}", "http://127.0.0.1:7/metrics")
        pids = [each.pid for each in (*found.balancers, *found.nodes, *found.workers, *found.servers)]
        assert all(psutil.pid_exists(pid) for pid in pids)
        assert running_stack.targets == (found.balancers[0].url,)
    assert not [pid for pid in pids if psutil.pid_exists(pid)]


@pytest.mark.parametrize("kind", ["node", "autoscaler", "balancer", "redis", "worker"])
async def test_the_record_follows_every_restart(stand: Stand, tmp_path: Path, kind: str) -> None:
    """Whoever is killed: soon the file names the next one, under the same id and address."""
    who: dict[str, Callable[[stack.Stack], int]] = {
        "node": lambda record: record.nodes[0].pid,
        "autoscaler": lambda record: record.autoscaler.pid if record.autoscaler else 0,
        "balancer": lambda record: record.balancers[0].pid,
        "redis": lambda record: record.servers[0].pid,
        "worker": lambda record: record.workers[0].pid if record.workers else 0,
    }
    async with stand():
        before = await record_where(tmp_path, lambda record: bool(record.workers))
        old = who[kind](before)
        os.kill(old, signal.SIGKILL)
        after = await record_where(tmp_path, lambda record: who[kind](record) not in {0, old})

        assert psutil.pid_exists(who[kind](after))
        assert (after.redis, after.nodes[0].url) == (before.redis, before.nodes[0].url)


async def test_a_redis_that_does_not_answer_is_said_before_anything_starts(tmp_path: Path) -> None:
    """With --redis the server is somebody else's."""
    options = Options(redis="redis+sentinel://me:open-sesame@127.0.0.1:1/p/0", port=0)
    with pytest.raises(ServerMissing, match=r"no Redis answers at the address of --redis;(?!.*sesame)"):
        async with running(options, tmp_path, Config(), say=print):
            pass
    assert not (tmp_path / stack.FILE).exists()


async def test_the_first_signal_cancels_the_second_kills(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two at once, as timeout(1) sends them, are one."""
    said: list[str] = []
    supervisor = Supervisor(stop_s=1, say=said.append)
    with interrupts(supervisor, said.append):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.Event().wait()
        task = asyncio.current_task()
        assert task
        task.uncancel()
        assert not supervisor.killed
        monkeypatch.setattr(local, "SAME_S", 0.0)
        os.kill(os.getpid(), signal.SIGTERM)
        while not supervisor.killed:
            await asyncio.to_thread(os.sched_yield)
    assert said[0] == "draining; a second signal kills"
    assert said[-1] == "killing"


async def test_a_signal_during_the_drain_kills(monkeypatch: pytest.MonkeyPatch) -> None:
    """A demo that has finished is already on its way out."""
    supervisor = Supervisor(stop_s=1, say=print)
    await supervisor.drain()
    with interrupts(supervisor, print):
        os.kill(os.getpid(), signal.SIGINT)
        while not supervisor.killed:
            await asyncio.to_thread(os.sched_yield)
