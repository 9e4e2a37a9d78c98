"""bench.comparing.verdict: worse, no worse, cannot tell; and no baseline is never a pass."""

import pytest

from bench.comparing.verdict import EXIT, PROMISES, Comparison, compared
from tests.unit.bench.comparing.reports_made import measured, times

BASELINE = (1000.0, 1010.0, 990.0)


def of(found: Comparison, name: str) -> str:
    """The verdict on one metric."""
    (one,) = (one for one in found.metrics if one.name == name)
    return one.verdict


@pytest.mark.parametrize(
    ("ours", "verdict"),
    [
        ((1005.0, 995.0, 1000.0), "no worse"),
        ((1040.0, 1030.0, 1035.0), "no worse"),  # worse for certain, and by less than the limit of 100 ms
        ((500.0, 510.0, 490.0), "no worse"),
        ((1200.0, 1210.0, 1190.0), "worse"),
        ((1090.0, 1250.0, 1000.0), "cannot tell"),
    ],
)
def test_a_time_is_judged_by_its_whole_interval(ours: tuple[float, ...], verdict: str) -> None:
    """Above the limit worse, below it no worse, on both sides of it nobody can tell."""
    found = compared(times(*ours), times(*BASELINE))

    assert found.verdict == verdict
    assert of(found, "upload p99") == verdict
    assert of(found, "ready p90") == "no worse"


@pytest.mark.parametrize(("shed", "verdict"), [(10, "no worse"), (11, "no worse"), (12, "worse"), (0, "no worse")])
def test_the_shed_share_may_rise_by_a_hundredth(shed: int, verdict: str) -> None:
    """10 of 110 attempts were shed before; the difference of shares is judged, not their ratio."""
    found = compared([measured(shed=shed) for _ in range(3)], [measured() for _ in range(3)])

    assert of(found, "shed share") == verdict


@pytest.mark.parametrize(("failed", "verdict"), [(1, "no worse"), (2, "no worse"), (3, "worse"), (0, "no worse")])
def test_the_share_of_users_who_fail_may_rise_by_a_hundredth(failed: int, verdict: str) -> None:
    """1 of 100 failed before; whoever got no answer counts too."""
    baseline = [measured() for _ in range(3)]
    for unknown in range(failed + 1):
        counts = {"accepted": 100 - failed, "failed": failed - unknown, "unknown": unknown}
        assert of(compared([measured(**counts) for _ in range(3)], baseline), "failed share") == verdict


@pytest.mark.parametrize("name", PROMISES)
def test_a_broken_promise_is_worse_whatever_the_baseline_did(name: str) -> None:
    """One pair in one run; a promise that only the baseline broke is none of ours."""
    whole, broken = [measured() for _ in range(3)], [measured(), measured(), measured(**{name: 1})]

    assert compared(broken, [measured(**{name: 9}) for _ in range(3)]).verdict == "worse"
    assert compared(whole, broken).verdict == "no worse"


def test_no_baseline_is_never_a_pass() -> None:
    """Nor is a baseline of two runs, nor are two runs of ours."""
    three, two = [measured() for _ in range(3)], [measured() for _ in range(2)]

    assert [compared(three, side).verdict for side in ([], two)] == ["no baseline", "no baseline"]
    assert compared(two, three).verdict == "cannot tell"
    assert [EXIT[verdict] for verdict in ("no worse", "worse", "cannot tell", "no baseline")] == [0, 1, 3, 3]


def test_a_run_in_which_nothing_was_accepted_has_no_times_and_no_verdict() -> None:
    """It must not pass for fast."""
    empty = measured(latency_ms={}, attempts=0, shed=0)
    found = compared([measured(), measured(), empty], [measured() for _ in range(3)])

    assert found.verdict == "cannot tell"
    assert {of(found, "upload p99"), of(found, "shed share")} == {"cannot tell"}
