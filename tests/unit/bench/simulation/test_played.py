"""A trace is played once for each seed."""

from bench.simulation.played import played
from bench.traces.trace import Row
from tests.unit.bench.simulation.simulated import costs, fleet


def test_each_seed_is_a_play() -> None:
    """Figures of each, the axes, and the queue of the last one."""
    rows = [Row(t=n * 100_000, u=f"u{n}", f=40_000, b=40_000, up=500_000) for n in range(30)]
    found = played(rows, 20, fleet(), costs(spread=(0.5, 1.5)), (), 2)
    assert [one["accepted"] for one in found.figures] == [30.0, 30.0]
    assert found.figures[0]["ready_p50_ms"] != found.figures[1]["ready_p50_ms"]
    assert found.axes["pairs"] == 30.0
    assert found.course[0].t == 1
