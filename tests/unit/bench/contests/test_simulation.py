"""The bench of the simulator's scale, on a small part of the region."""

import numpy as np
import pytest

from bench.contests import simulation
from bench.simulation.building import hosts_of


def test_the_region_has_the_size_of_the_promise() -> None:
    """64 balancers, 1,000 nodes, 3,000 workers; a part of it keeps at least one of each."""
    of = simulation.region()
    assert [of.of(tier) for tier in ("lb", "node", "worker")] == [64, 1000, 3000]
    assert all(hosts_of(simulation.region(1e-6)).of[tier] for tier in ("lb", "node", "worker", "redis"))


def test_arrivals_are_sorted_and_of_all_uplinks() -> None:
    """As many as were asked for, the same for the same seed."""
    found = simulation.arrivals(2000)
    assert (np.diff(found.arrives) >= 0).all()
    assert len(found.bytes) == len(found.send_s) == 2000
    assert found.bytes.min() > 80_000
    assert simulation.arrivals(2000).send_s.tolist() == found.send_s.tolist()


def test_a_small_burst_is_measured() -> None:
    """Seconds, memory and figures."""
    build_s, play_s, mib, figures = simulation.measured(150)
    assert min(build_s, play_s, mib) > 0
    assert figures["accepted"] == figures["offered"] == pytest.approx(150)
