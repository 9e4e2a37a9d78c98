"""The figures of a played burst, as a replay's report measures them."""

import numpy as np
import pytest

from bench.simulation.figures import figures_of
from bench.simulation.run import Result, Second


def result() -> Result:
    """Three users, of whom one gave up after two answers of 503."""
    return Result(
        arrives=np.array([0.2, 1.5, 1.7]),
        finished=np.array([1.2, np.nan, 2.7]),
        ready=np.array([2.7, np.nan, 3.5]),
        seen=np.array([3.2, np.nan, 3.7]),
        shed=2,
        lost=0,
        given_up=1,
        shed_s=np.array([0, 2]),
        seconds=(Second(1, 4, 0.5, 2, 2), Second(2, 9, 1.0, 2, 2), Second(3, 0, 0.0, 2, 2)),
        cpu_s={"lb": 0.002, "node": 0.01, "worker": 0.1},
        later_s=0.04,
        spills=0,
        ended_s=4.0,
    )


def test_the_figures_are_those_of_a_report() -> None:
    """Counts, percentiles of the accepted, the queue, CPU a pair, and counts by the second of the first try."""
    found = figures_of(result())
    assert (found["offered"], found["accepted"], found["shed"], found["failed"]) == (3, 2, 2, 1)
    assert (found["upload_p50_ms"], found["upload_p99_ms"]) == pytest.approx((1000.0, 1000.0))
    assert (found["ready_p50_ms"], found["ready_p99_ms"]) == pytest.approx((1000.0, 2000.0))
    assert (found["queue_peak"], found["queue_empty_s"], found["workers_peak"]) == (9, 2, 2)
    assert (found["cpu_node_ms_per_pair"], found["cpu_worker_ms_per_pair"]) == (5.0, 50.0)
    assert found["cpu_later_ms_per_pair"] == 20.0
    assert [found[name] for name in ("offered@0", "offered@1", "accepted@1", "shed@1")] == [1, 2, 1, 2]


def test_a_picture_is_seen_a_little_after_it_is_ready() -> None:
    """Times to ready are those of who looks, and not negative where the answer comes after the picture."""
    early = result()
    early.seen[:] = (3.2, np.nan, 2.6)
    found = figures_of(early)
    assert (found["ready_p50_ms"], found["ready_p99_ms"]) == pytest.approx((0.0, 2000.0))


def test_a_figure_without_values_is_left_out() -> None:
    """Nobody was accepted."""
    nobody = result()
    nobody.finished[:] = np.nan
    assert "upload_p50_ms" not in figures_of(nobody)
