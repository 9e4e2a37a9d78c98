"""The drain by hand and by properties."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.capacity.drain import Series, backlog_s, done_s, needed_from

UNHURRIED = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])

WORK = st.lists(st.floats(0, 1e4), min_size=1, max_size=60)


def needed_cores(work_s: Series, ready_s: float) -> float:
    """The least constant number of cores for the whole burst."""
    return float(needed_from(work_s, ready_s)[0])


def waits_s(work: list[float], cores: float) -> float:
    """The longest wait of any second's work, counted from that second's start, one after the other."""
    at, longest = 0.0, 0.0
    for second, amount in enumerate(work):
        if not amount:
            continue
        at = max(at, float(second)) + amount / cores
        longest = max(longest, at - second)
    return longest


def test_all_at_once_is_spread_over_the_time_allowed() -> None:
    """122 CPU seconds in one second, 60 s to be ready: they have 61 s."""
    assert needed_cores(np.array([122.0]), 60.0) == 2.0


def test_a_steady_load_needs_what_comes() -> None:
    """In the long run no more and hardly less: 600 s at 10 a second, and 60 s after."""
    assert needed_cores(np.full(600, 10.0), 60.0) == pytest.approx(6000 / 660)


def test_nothing_needs_nothing() -> None:
    """And no time to do it."""
    assert needed_cores(np.array([0.0, 0.0]), 60.0) == 0.0
    assert done_s(np.array([0.0]), 0.0).tolist() == [0.0]
    with pytest.raises(ValueError, match="without cores"):
        done_s(np.array([1.0]), 0.0)


def test_a_backlog_goes_down_at_the_cores_speed() -> None:
    """Ten at once at four cores: 4, 4, 2."""
    done = done_s(np.array([10.0]), 4.0)
    assert done.tolist() == [4.0, 4.0, 2.0]
    assert backlog_s(np.array([10.0]), done).tolist() == [6.0, 2.0, 0.0]


@UNHURRIED
@given(WORK, st.floats(1, 300))
def test_the_cores_are_enough_and_no_fewer_are(work: list[float], ready_s: float) -> None:
    """At the least number every second's work is done in time (within its own second); at a tenth less it is not."""
    cores = needed_cores(np.array(work), ready_s)
    if cores < 1e-6:
        return
    assert waits_s(work, cores) <= (ready_s + 1) * (1 + 1e-6)
    assert waits_s(work, cores * 0.9) > ready_s


@UNHURRIED
@given(WORK, st.floats(1, 300), st.floats(1.01, 10))
def test_more_time_needs_no_more_cores(work: list[float], ready_s: float, times: float) -> None:
    """And more work no fewer."""
    cores = needed_cores(np.array(work), ready_s)
    assert needed_cores(np.array(work), ready_s * times) <= cores
    assert needed_cores(np.array(work) * times, ready_s) == pytest.approx(cores * times)


@UNHURRIED
@given(WORK, st.floats(1, 300))
def test_what_still_comes_needs_less_and_less(work: list[float], ready_s: float) -> None:
    """From the first second it is the whole number."""
    later = needed_from(np.array(work), ready_s)
    assert later[0] == needed_cores(np.array(work), ready_s)
    assert (np.diff(later) <= 0).all()


@UNHURRIED
@given(WORK, st.floats(0.1, 1e4))
def test_all_work_is_done(work: list[float], cores: float) -> None:
    """Nothing is lost, and no second does more than the cores can."""
    if sum(work) / cores > 5000:
        return
    done = done_s(np.array(work), cores)
    assert done.sum() == pytest.approx(sum(work), abs=1e-3)
    assert done.max() <= cores
