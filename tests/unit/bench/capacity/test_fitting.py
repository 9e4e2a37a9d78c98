"""Lines and distributions from readings."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.capacity.costs import Line
from bench.capacity.fitting import fitted, of_buckets, quantiles, spread

UNHURRIED = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


def test_points_on_a_line_give_the_line() -> None:
    """Two sizes are enough."""
    assert fitted([(500_000, 2.0), (1_500_000, 4.0)]) == Line(fixed_ms=1.0, mb_ms=2.0)


def test_one_size_gives_a_constant() -> None:
    """There is no slope to know."""
    assert fitted([(500_000, 2.0), (500_000, 4.0)], [0.5, 1.5]) == Line(fixed_ms=3.0, spread=(0.5, 1.5))


def test_a_negative_slope_or_start_is_no_cost() -> None:
    """The better line of those allowed: a constant, or one through the origin."""
    assert fitted([(1_000_000, 4.0), (2_000_000, 2.0)]) == Line(fixed_ms=3.0)
    through = fitted([(1_000_000, 1.0), (2_000_000, 4.0)])
    assert (through.fixed_ms, through.mb_ms) == (0.0, 1.8)  # (1*1 + 2*4) / (1*1 + 2*2)


@UNHURRIED
@given(st.lists(st.tuples(st.floats(1e4, 1e7), st.floats(0, 1e3)), min_size=1, max_size=20))
def test_no_part_of_a_line_is_negative(points: list[tuple[float, float]]) -> None:
    """Whatever was read."""
    line = fitted(points)
    assert line.fixed_ms >= 0
    assert line.mb_ms >= 0


def test_quantiles_are_between_the_values() -> None:
    """The first is the least, the last the greatest; nothing gives nothing."""
    assert quantiles([4.0, 0.0], 4) == (0.0, 1.0, 2.0, 3.0, 4.0)
    assert quantiles([7.0], 2) == (7.0, 7.0, 7.0)
    assert quantiles([]) == ()


def test_a_spread_has_the_mean_one() -> None:
    """So that it can be applied to a line."""
    assert spread([1.0, 3.0])[0] == 0.5
    assert spread([1.0, 3.0])[-1] == 1.5
    assert spread([]) == ()
    assert spread([0.0]) == ()


def test_quantiles_of_a_histogram_lie_in_its_buckets() -> None:
    """Evenly within a bucket, from 0 in the first one."""
    assert of_buckets((1.0, 2.0), (0.0, 4.0), 4) == (1.0, 1.25, 1.5, 1.75, 2.0)
    assert of_buckets((1.0, 2.0), (2.0, 2.0), 2) == (0.0, 1.0, 2.0)
    assert of_buckets((1.0,), (0.0,)) == ()


def test_what_lies_above_the_last_bound_is_that_bound() -> None:
    """More is not known."""
    assert of_buckets((1.0, 2.0), (0.0, 1.0, 1.0), 2)[-1] == pytest.approx(2.0)
