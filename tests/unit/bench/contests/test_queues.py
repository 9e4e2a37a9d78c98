"""bench.contests.queues: contenders on a real Redis, and the rows made of what they report."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.contests import drain
from bench.contests.queues import COMMANDS_UNIT, CPU_UNIT, REDIS_UNIT, WALL_UNIT, WORKERS, Bench, running_redis


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    """A Redis of its own."""
    with running_redis() as made:
        yield made


@pytest.mark.parametrize("name", ["snapsurge", "arq", "saq"])
def test_a_contender_fills_and_works(bench: Bench, name: str) -> None:
    """Each reports what a job cost it, its Redis included, as one process and as two."""
    for workers in (1, 4):
        assert set(bench.fill(name, 50)) == {WALL_UNIT, CPU_UNIT}
        cost = bench.work(name, workers)

        assert set(cost) == {WALL_UNIT, CPU_UNIT, REDIS_UNIT, COMMANDS_UNIT}
        assert min(cost.values()) > 0


def test_a_killed_workers_job_is_locked_for_minutes_in_arq(bench: Bench) -> None:
    """The peer's figure is read from its own lock."""
    assert bench.arq_recovery_s() > 60


def test_the_last_result_has_every_row() -> None:
    """The file in the repository is of this code's form."""
    written = json.loads((Path(__file__).parents[4] / "bench" / "results" / "queue.json").read_text())

    assert len(written["rows"]) == 6 * len(WORKERS) + 3 + 2 * len(drain.WORKERS) + 1
