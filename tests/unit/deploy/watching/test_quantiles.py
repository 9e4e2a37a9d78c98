"""Quantiles of histograms."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.watching.quantiles import Buckets, added, merged
from storage.histograms import BOUNDS_S, ERROR_MAX, Series

HALF = Buckets({0.1: 0.0, 0.2: 50.0, 0.4: 100.0, math.inf: 100.0})


@pytest.mark.parametrize(("part", "value"), [(0.25, 0.15), (0.5, 0.2), (0.75, 0.3), (1.0, 0.4)])
def test_a_quantile_is_interpolated_in_its_bucket(part: float, value: float) -> None:
    """As `histogram_quantile` does."""
    assert HALF.quantile(part) == pytest.approx(value)


def test_edges() -> None:
    """Nothing counted; all in the first bucket; all above the last bound."""
    assert Buckets({}).quantile(0.5) is None
    assert Buckets({0.1: 0.0, math.inf: 0.0}).quantile(0.99) is None
    assert Buckets({0.1: 4.0, math.inf: 4.0}).quantile(0.5) == pytest.approx(0.05)
    assert Buckets({0.1: 0.0, 0.2: 0.0, math.inf: 4.0}).quantile(0.5) == 0.2
    assert Buckets({0.1: 2.0, math.inf: 1.0}).quantile(0.99) is not None  # torn between two pages: no crash


def test_histograms_add_up() -> None:
    """Those of several nodes, and of several rounds."""
    parts = [
        ({"le": "0.1", "route": "upload"}, 1.0),
        ({"le": "+Inf"}, 2.0),
        ({"le": "0.1"}, 3.0),
        ({"le": "+Inf"}, 4.0),
    ]
    assert merged(parts) == Buckets({0.1: 4.0, math.inf: 6.0})
    assert added([HALF, HALF]).count == 200.0
    assert added([]).quantile(0.5) is None


@given(samples=st.lists(st.floats(0.011, 299.0), min_size=1, max_size=200), part=st.sampled_from([0.5, 0.9, 0.99]))
def test_a_quantile_is_as_exact_as_the_buckets(samples: list[float], part: float) -> None:
    """Between 10 ms and 300 s a fifth, which is what `storage/histograms.py` promises."""
    series = Series(BOUNDS_S)
    for sample in samples:
        series.observe(sample)
    counts = np.cumsum(series.counts).tolist()
    found = Buckets(dict(zip((*BOUNDS_S, math.inf), counts, strict=True))).quantile(part)
    exact = float(np.percentile(samples, part * 100, method="inverted_cdf"))
    assert found is not None
    assert found == pytest.approx(exact, rel=ERROR_MAX + 0.01)
