"""The ladder by example: up before a moment, held over its drain, back after it; and files that are refused."""

import json
from typing import Any

import pytest

from processors.scaling.ladder import AT_S_MAX, COUNT_MAX, UNDRAINED_S_MAX, Ladder, counts, lead_s, parsed
from processors.scaling.sizing import Limits, Load, Moment

NOW = 1_767_225_600_000
LIMITS = Limits(workers_min=1, workers_max=100, workers_warm=40, drain_s=60, hold_s=30, down_s=300)
MOMENT = Moment(fires_at_ms=NOW, window_s=120)
DRAINED = Load(ready=0, oldest_s=0, arrivals_per_s=0, service_s=0.1)
BEHIND = Load(ready=9, oldest_s=60.1, arrivals_per_s=0, service_s=0.1)
END = 120 + 30 + 300


def ladder(*steps: tuple[float, str, int]) -> Ladder:
    """As read from a file, which also says other things."""
    rows = [{"at_s": at_s, "tier": tier, "count": count} for at_s, tier, count in steps]
    return parsed(json.dumps({"ladder": rows, "binding": []}).encode())


PLAN = ladder((-600, "node", 10), (-300, "node", 30), (-600, "lb", 4))


def at(second: float, plan: Ladder = PLAN, load: Load | None = DRAINED, *moments: Moment) -> dict[str, int]:
    """The counts so many seconds after the moment fires."""
    return counts(plan, moments or (MOMENT,), LIMITS, load, now_ms=NOW + int(second * 1000))


@pytest.mark.parametrize(
    ("second", "node", "lb"),
    [(-601, 0, 0), (-600, 10, 4), (-301, 10, 4), (-300, 30, 4), (0, 30, 4), (END - 1, 30, 4), (END, 0, 0)],
)
def test_each_tier_climbs_before_the_moment_and_goes_back_after_its_holds(second: float, node: int, lb: int) -> None:
    """Nothing is wanted before the first step; the window, its hold and the hold of a scale-down pass."""
    assert at(second) == {"node": node, "lb": lb}


def test_a_backlog_keeps_the_machines_but_not_for_ever() -> None:
    """Nor does an absent Redis end them; an hour after the holds a backlog is not the moment's any more."""
    for load in (BEHIND, None):
        assert at(END, PLAN, load)["node"] == 30
        assert at(END + UNDRAINED_S_MAX - 1, PLAN, load)["node"] == 30
        assert at(END + UNDRAINED_S_MAX, PLAN, load)["node"] == 0


def test_a_step_down_waits_for_the_drain() -> None:
    """It comes at its time when nothing waits."""
    plan = ladder((-300, "node", 30), (200, "node", 5))

    assert [at(199, plan)["node"], at(200, plan)["node"], at(200, plan, BEHIND)["node"]] == [30, 5, 30]


def test_of_two_moments_the_larger_need_counts() -> None:
    """They do not add up: the plan is for the fleet."""
    other = Moment(fires_at_ms=NOW + 500_000, window_s=120)

    assert at(0, PLAN, DRAINED, MOMENT, other) == {"node": 30, "lb": 4}
    assert at(END, PLAN, DRAINED, MOMENT, other) == {"node": 30, "lb": 4}
    assert at(-100, PLAN, DRAINED, MOMENT, other) == {"node": 30, "lb": 4}
    assert at(0, PLAN, DRAINED, other) == {"node": 10, "lb": 4}


def test_without_a_ladder_there_is_no_decision() -> None:
    """Not zero: zero is a decision."""
    assert at(0, ()) == {}
    assert lead_s(()) == 0


def test_the_lead_is_that_of_the_earliest_step() -> None:
    """A moment further away needs not be known."""
    assert lead_s(PLAN) == 600
    assert lead_s(ladder((5, "node", 1))) == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense", "malformed"),
        ("{}", "ladder"),
        ({"at_s": 0, "tier": "redis", "count": 1}, "step 0: unknown tier 'redis', known are lb, node, worker"),
        ({"at_s": 0, "tier": "node", "count": -1}, "step 0: a count of -1"),
        ({"at_s": 0, "tier": "node", "count": COUNT_MAX + 1}, f"a count of {COUNT_MAX + 1}"),
        ({"at_s": -AT_S_MAX - 1, "tier": "node", "count": 1}, "step 0: -86401 s is more than 86400 s from the moment"),
        ({"at_s": "soon", "tier": "node", "count": 1}, "at_s"),
    ],
)
def test_a_bad_file_is_refused_in_a_sentence(text: Any, said: str) -> None:
    """What was wrong, and at which step."""
    found = text if isinstance(text, str) else json.dumps({"ladder": [text]})
    with pytest.raises(ValueError, match=said):
        parsed(found.encode())


def test_the_limits_of_a_step_are_allowed() -> None:
    """Both of them."""
    assert len(ladder((-AT_S_MAX, "node", COUNT_MAX), (AT_S_MAX, "node", 0))) == 2
