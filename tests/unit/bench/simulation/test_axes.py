"""The axes along which a simulation extrapolates."""

import numpy as np

from bench.simulation.arrivals import Arrivals
from bench.simulation.axes import axes_of, peak
from bench.simulation.faults import parsed
from tests.unit.bench.simulation.simulated import fleet, poisson


def test_the_axes_say_how_large_and_how_broken_a_burst_is() -> None:
    """Pairs, peak, bytes, the fleet, the store and the kinds of faults."""
    found = axes_of(poisson(50, 1000), fleet(), [parsed("node@1"), parsed("node:1@2"), parsed("store@3")])
    assert found["pairs"] == 1000.0
    assert found["pair_bytes"] == 100_000.0
    assert (found["balancers"], found["nodes"], found["workers"], found["cores"]) == (2.0, 3.0, 2.0, 7.0)
    assert (found["store"], found["faults"]) == ("file", "node store")
    assert axes_of(poisson(50, 9), fleet(store_bytes_s=1e6), [])["store"] == "file with a limited link"


def test_the_peak_is_of_the_busiest_ten_seconds() -> None:
    """Thirty at once and one far away."""
    arrives = np.array([1.0] * 30 + [100.0])
    none = np.zeros(31, np.int32)
    assert peak(Arrivals(arrives, none, none.astype(np.float32))) == 3.0
    assert peak(Arrivals(arrives[:0], none[:0], none[:0].astype(np.float32))) == 0.0
