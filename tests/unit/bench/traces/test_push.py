"""The push plan: rates a minute become the seconds at which a share of the devices has been reached."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.traces.push import ShapeError, Step, even, plan_of, steps_of, words_of


def test_a_quota_stretches_a_push_over_minutes() -> None:
    """5 M pushes at 600,000 a minute take 8.3 minutes."""
    assert plan_of(5_000_000, steps_of("600000")).length_s == pytest.approx(500)


def test_steps_hold_from_their_second_on() -> None:
    """A fast first minute, a pause, and the rest: shares and seconds by hand."""
    plan = plan_of(1000, steps_of("0:600,60:0,90:240"))

    assert plan.length_s == pytest.approx(190)
    assert plan.at(np.array([0, 0.3, 0.61, 1])) == pytest.approx([0, 30, 92.5, 190])


def test_a_later_step_that_is_not_reached_has_no_effect() -> None:
    """All devices have been notified before."""
    assert plan_of(100, steps_of("0:6000,60:1")).length_s == pytest.approx(1)


def test_an_even_push_is_a_multiple() -> None:
    """Exactly, so that a seed's burst stays byte for byte what it was."""
    places = np.random.default_rng(1).random(1000)
    assert np.array_equal(even(3.0).at(places), 3.0 * places)


@pytest.mark.parametrize("words", ["", "x", "0:1:2", "1,2", "0:", "0:5,x"])
def test_words_that_are_no_steps_are_refused(words: str) -> None:
    """With an example of what is one."""
    with pytest.raises(ShapeError, match="FROM_S:RATE"):
        steps_of(words)


@pytest.mark.parametrize("words", ["5:100", "0:1,60:2,30:3", "0:1,0:2", "0:-1", "nan", "inf", "0:60,60:0"])
def test_steps_that_are_no_plan_are_refused(words: str) -> None:
    """Not from 0, not ascending, not a rate, or never done."""
    with pytest.raises(ShapeError, match="pushes-per-minute"):
        plan_of(1000, steps_of(words))


@settings(deadline=None)
@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=5), st.integers(1, 10**6), st.integers(1, 10**7))
def test_a_plan_ascends_from_nobody_to_everybody(rates: list[int], last: int, devices: int) -> None:
    """Whatever the steps; and they can be written and read again."""
    steps = tuple(Step(20.0 * number, float(rate)) for number, rate in enumerate([*rates, last]))
    plan = plan_of(devices, steps)

    assert (plan.shares[0], plan.shares[-1], plan.seconds[0]) == (0, 1, 0)
    assert (np.diff(plan.shares) >= 0).all()
    assert (np.diff(plan.seconds) > 0).all()
    assert steps_of(words_of(steps)) == steps
