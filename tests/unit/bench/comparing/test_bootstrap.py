"""bench.comparing.bootstrap: the interval covers as often as it says, also with three runs a side."""

import numpy as np
import pytest

from bench.comparing.bootstrap import interval


def test_the_same_readings_and_seed_give_the_same_interval() -> None:
    """And another seed another one, where the ends are not the whole range."""
    ours, baseline = [float(n % 7) for n in range(12)], [float(n % 5) for n in range(12)]

    assert interval(ours, baseline, 1) == interval(ours, baseline, 1)
    assert interval(ours, baseline, 1) != interval(ours, baseline, 2)


def test_three_runs_a_side_give_the_whole_range() -> None:
    """So an interval excludes zero exactly when the two sides do not overlap."""
    assert interval([4.0, 5.0, 6.0], [1.0, 2.0, 3.0]) == (1.0, 5.0)
    low, high = interval([3.0, 5.0, 6.0], [1.0, 2.0, 4.0])
    assert low < 0 < high


@pytest.mark.parametrize(("runs", "least"), [(3, 0.85), (8, 0.9)])
def test_the_interval_covers_as_often_as_it_says(runs: int, least: float) -> None:
    """Of normal readings without a true difference; the plain percentile interval of three covers 0.77 of them."""
    rng, trials = np.random.default_rng(5), 100
    covered = 0
    for trial in range(trials):
        ours, baseline = rng.normal(size=runs), rng.normal(size=runs)
        low, high = interval(list(ours), list(baseline), trial)
        covered += low <= 0 <= high

    assert covered / trials >= least
