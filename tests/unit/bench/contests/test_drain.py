"""bench.contests.drain: a small drain on a real Redis, and the rows made of it. The idle stack is seen in the bench."""

import pytest

from bench.contests import drain
from bench.contests.queues import running_redis


@pytest.mark.parametrize("workers", [1, 2])
def test_a_drain_is_measured(workers: int) -> None:
    """By one process and by two: every pair is drained, and costs commands and CPU."""
    with running_redis() as bench:
        found = drain.drain(bench.url, workers, 30)

    assert set(found) == {drain.CPU_UNIT, drain.COMMANDS_UNIT}
    assert found[drain.CPU_UNIT] > 0
    assert 5 < found[drain.COMMANDS_UNIT] < 100
