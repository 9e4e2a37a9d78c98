"""The ladder: lead, buffer, and what the autoscaler reads."""

import json

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.capacity.ladder import AT_S_MAX, COUNT_MAX, TIERS, Climb, LadderError, Step, buffer, steps
from processors.scaling import ladder as followed

UNHURRIED = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])

NEED = np.array([0.0, 2.0, 10.0, 4.0, 1.0, 0.0])


def climb(needed: list[float] | np.ndarray, lead_s: float = 60.0, ratio: float = 1.0) -> dict[str, Climb]:
    """A tier that needs this by second."""
    return {"node": Climb(needed=np.array(needed, dtype=np.float64), ratio=ratio, lead_s=lead_s)}


def test_all_are_ordered_a_lead_before_a_short_burst() -> None:
    """Everything is needed within seconds, so one step up, and one down at the end."""
    assert steps(climb(NEED)) == (
        Step(at_s=-60, tier="node", count=10),
        Step(at_s=30, tier="node", count=0),
    )


def test_those_that_may_be_lost_are_in_the_count() -> None:
    """Planned ones for each needed one, rounded up."""
    assert steps(climb(NEED, ratio=1.25))[0].count == 13


def test_a_slow_rise_is_followed_ahead_of_it() -> None:
    """At each second there are as many as are needed a lead later."""
    rising = np.repeat(np.arange(1.0, 11.0), 60)  # one more each minute
    found = steps(climb(rising, lead_s=60.0))
    for second, need in enumerate(rising):
        there = [step.count for step in found if step.at_s <= second - 60]
        assert there, second
        assert there[-1] >= need or max(there) >= need * 0.9


@pytest.mark.parametrize(("lead_s", "surge"), [(0.0, 0), (1.0, 8), (2.0, 10), (600.0, 10)])
def test_the_buffer_is_the_largest_surge_within_a_start(lead_s: float, surge: int) -> None:
    """From 2 to 10 within a second, from 0 to 10 within two."""
    assert buffer(NEED, lead_s) == surge


@UNHURRIED
@given(st.lists(st.integers(0, 1000), min_size=1, max_size=200), st.floats(0, 400), st.floats(1, 2))
def test_nobody_is_missing_at_any_second(needed: list[int], lead_s: float, ratio: float) -> None:
    """Ordered a lead before, up to the tenth by which a ladder does not step; in the order of time, and to zero."""
    found = steps(climb(needed, lead_s, ratio))
    assert list(found) == sorted(found, key=lambda step: step.at_s)
    for second, need in enumerate(needed):
        ordered = [step.count for step in found if step.at_s <= second - lead_s]
        there = max(ordered, default=0)
        assert there * 1.1 >= need or there >= need
    if max(needed):
        assert found[-1].count == 0


def test_the_autoscaler_reads_it() -> None:
    """The same file, the same limits, the same tiers."""
    text = json.dumps({"ladder": msgspec.to_builtins(steps(climb(NEED)))}).encode()
    assert [(step.at_s, step.tier, step.count) for step in followed.parsed(text)] == [
        (-60, "node", 10),
        (30, "node", 0),
    ]
    assert (COUNT_MAX, AT_S_MAX, TIERS) == (followed.COUNT_MAX, followed.AT_S_MAX, followed.TIERS)


def test_what_the_autoscaler_refuses_is_refused_here() -> None:
    """Both sides of both limits."""
    assert steps(climb([COUNT_MAX]))[0].count == COUNT_MAX
    with pytest.raises(LadderError, match="100000 at most"):
        steps(climb([COUNT_MAX + 1]))
    assert steps(climb([1], lead_s=AT_S_MAX - 60))
    with pytest.raises(LadderError, match="spans 86400 s"):
        steps(climb([1], lead_s=AT_S_MAX + 60))
