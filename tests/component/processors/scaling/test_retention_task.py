"""The elected autoscaler alone removes what was kept long enough; failures end nothing and are told once."""

import asyncio
from collections.abc import Callable

import pytest
from redis.asyncio import Redis

from processors.election import Election
from processors.retention import Removed, Retention
from processors.scaling.retention_task import retaining
from storage.blobs import StoreUnavailable


class Scripted(Retention):
    """A retention whose steps are given; `done` is called when none is left."""

    def __init__(self, steps: list[Removed | Exception | None], done: Callable[[], None]) -> None:
        self.steps, self.taken, self.done = steps, 0, done

    async def step(self, now_s: float) -> Removed | None:
        """The next one."""
        self.taken += 1
        step = self.steps.pop(0) if self.steps else None
        if not self.steps:
            self.done()
        if isinstance(step, Exception):
            raise step
        return step


async def played(redis: Redis, steps: list[Removed | Exception | None], *, elected: bool) -> Scripted:
    """The steps that were taken until none is left, or until the loop waits."""
    election, over = Election(redis, "a", term_s=5.0), asyncio.Event()
    election.elected = elected
    scripted = Scripted(steps, over.set)
    if not elected:
        asyncio.get_running_loop().call_later(0.05, over.set)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(retaining(scripted, election), name="retention")
        await over.wait()
        task.cancel()
    return scripted


async def test_the_leader_takes_step_after_step(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Also after failures, which one line tells; a standby takes none."""
    monkeypatch.setattr("processors.scaling.retention_task.IDLE_S", 0.0)
    away = StoreUnavailable("no answer")

    leader = await played(redis, [Removed(), away, away, ValueError("a fault"), Removed(looked=1), None], elected=True)
    standby = await played(redis, [Removed()], elected=False)

    assert (leader.taken, standby.taken) == (6, 0)
    assert caplog.text.count("retention is postponed until the store and Redis answer") == 1
    assert caplog.text.count("retention failed") == 1
