"""Histograms of durations: buckets narrow enough for percentiles, and a sample in exactly one of them."""

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from lb.relay.counters import LATENCY_S
from storage.histograms import BOUNDS_S, WIDE_BOUNDS_S, Durations

ERROR_MAX = 0.2


def test_a_percentile_between_10_ms_and_300_s_has_an_error_of_a_fifth_at_most() -> None:
    """Prometheus answers with a value of the right bucket: every bucket there is at most a fifth wide."""
    for bounds in (BOUNDS_S, WIDE_BOUNDS_S):
        narrow = [(low, high) for low, high in pairwise(bounds) if low >= 0.01 and high <= 300]
        assert (narrow[0][0], narrow[-1][1]) == (0.01, 300)
        assert all(high <= low * (1 + ERROR_MAX) for low, high in narrow)


def test_the_bounds_of_earlier_versions_are_bounds_still() -> None:
    """So that queries and alerts that name one of them still work."""
    earlier = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
    assert set(earlier) <= set(BOUNDS_S)
    assert {*earlier, 0.02, 0.15, 0.2, 0.3, 2, 300, 600, 1800, 3600} <= set(WIDE_BOUNDS_S)


def test_the_balancer_has_the_same_bounds() -> None:
    """It imports no other package, and a latency is compared across the tiers."""
    assert LATENCY_S == BOUNDS_S


@settings(deadline=None)  # no test asserts a duration
@given(st.floats(min_value=0, max_value=1e6))
def test_a_sample_is_counted_once_where_prometheus_wants_it(seconds: float) -> None:
    """In each bucket from the first bound that it does not exceed on (`le`)."""
    registry = CollectorRegistry()
    Durations("x_seconds", "text", registry=registry).series().observe(seconds)

    def count(bound: str) -> float | None:
        return registry.get_sample_value("x_seconds_bucket", {"le": bound})

    assert [count(str(float(bound))) for bound in BOUNDS_S] == [float(seconds <= bound) for bound in BOUNDS_S]
    assert (count("+Inf"), registry.get_sample_value("x_seconds_count")) == (1.0, 1.0)
    assert registry.get_sample_value("x_seconds_sum") == seconds


def test_each_label_has_its_own_series() -> None:
    """A timer counts its block, also when that fails; the text is in Prometheus' form."""
    registry = CollectorRegistry()
    made = Durations("x_seconds", "text", registry=registry, label="stage")
    with made.series("store").time():
        pass
    with pytest.raises(ValueError, match="x"), made.series("store").time():
        raise ValueError("x")
    made.series("accept").observe(math.inf)

    shown = generate_latest(registry).decode()
    assert "# TYPE x_seconds histogram" in shown
    assert 'x_seconds_count{stage="store"} 2.0' in shown
    assert 'x_seconds_bucket{le="+Inf",stage="accept"} 1.0' in shown
    assert 'x_seconds_bucket{le="300.0",stage="accept"} 0.0' in shown
