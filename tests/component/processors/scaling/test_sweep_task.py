"""The sweeps of the elected autoscaler: none without the election, and errors end none."""

import asyncio
import logging
from typing import Any

import pytest
from redis.asyncio import Redis

from processors.election import Election
from processors.findings import Swept
from processors.metrics import ScalerMetrics
from processors.scaling import sweep_task as module
from processors.scaling.sweep_task import sweeping
from storage.blobs import StoreUnavailable


class Played:
    """A sweeper that plays these results, and then finds nothing due."""

    pace_s = 0.0

    def __init__(self, *results: Swept | Exception) -> None:
        self.results = list(results)
        self.over = asyncio.Event()

    async def step(self, _: float) -> Swept | None:
        """The next result."""
        if not self.results:
            self.over.set()
            return None
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    def wait_s(self, _: float) -> float:
        """No time."""
        return 0.0


async def swept(redis: Redis, played: Any, *, elected: bool) -> ScalerMetrics:
    """Sweep until all is played, or some turns of the loop without the election."""
    metrics, election = ScalerMetrics(), Election(redis, "me", term_s=60)
    election.elected = elected
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        task = tasks.create_task(sweeping(played, election, metrics))
        if elected:
            await played.over.wait()
        for _ in range(20):
            await asyncio.sleep(0)
        task.cancel()
    return metrics


async def test_errors_are_ridden_out_and_an_outage_is_logged_once(
    redis: Redis, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug is logged with its stack; what was queued is counted."""
    monkeypatch.setattr(module, "SWEEP_AGAIN_S", 0.0)
    away = StoreUnavailable("away")
    with caplog.at_level(logging.INFO):
        metrics = await swept(
            redis, Played(away, away, Swept(queued=3), ValueError("a bug"), Swept(lost=2)), elected=True
        )

    assert caplog.text.count("postponed") == 1
    assert caplog.text.count("the sweep continues") == 1
    assert caplog.text.count("the sweep failed") == 1
    assert "3 jobs queued" in caplog.text
    assert metrics.registry.get_sample_value("snapsurge_swept_jobs_total") == 3
    assert [line.levelname for line in caplog.records if "2 posts with a lost pair" in line.message] == ["ERROR"]
    assert metrics.registry.get_sample_value("snapsurge_swept_lost_total") == 2


async def test_who_is_not_elected_does_not_sweep(redis: Redis) -> None:
    """The leader does."""
    played = Played(Swept(queued=1))
    await swept(redis, played, elected=False)

    assert len(played.results) == 1
