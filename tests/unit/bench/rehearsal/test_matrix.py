"""bench.rehearsal.matrix: what passes, what fails, what is neither."""

from typing import Any

import pytest

from bench.rehearsal.matrix import Counts, Matrix, Result, Trial, judged
from bench.rehearsal.sightings import Sighting

SEEN = (Sighting(program="lb-1", metric="up", after_s=1.0, low=1, high=1, value=0, constant=True),)
GOOD: dict[str, Any] = {
    "offered": 10, "accepted": 10, "shed": 3, "lost": 0, "half": 0, "doubled": 0, "wrongly_late": 0
}  # fmt: skip


def counts(**changed: Any) -> Counts:
    """Those of a burst in which all went well, but for what changed."""
    return Counts(**{**GOOD, **changed})


@pytest.mark.parametrize(
    ("changed", "seen", "recovery", "result", "says"),
    [
        ({}, SEEN, 2.0, "passed", ""),
        ({"lost": 1}, SEEN, 2.0, "failed", "lost 1"),
        ({"half": 1}, SEEN, 2.0, "failed", "half 1"),
        ({"doubled": 1}, SEEN, 2.0, "failed", "doubled 1"),
        ({"wrongly_late": 2}, SEEN, 2.0, "failed", "2 made late by us"),
        ({"pending": 2}, SEEN, 2.0, "failed", "2 posts neither"),
        ({"unchecked": "GET: 503"}, SEEN, 2.0, "failed", "could not be checked: GET: 503"),
        ({}, (), 2.0, "failed", "no metric saw it"),
        ({}, SEEN, None, "failed", "not recovered"),
        ({"voided": ("generator 1 lagged by 900 ms",)}, SEEN, 2.0, "void", "lagged by 900 ms"),
        ({"voided": ("nothing was sent",)}, (), None, "void", "nothing was sent"),
        # A lost pair is lost, whenever it was sent.
        ({"voided": ("nothing was sent",), "lost": 1}, SEEN, 2.0, "failed", "lost 1"),
    ],
)
def test_a_fault_passes_when_seen_recovered_and_without_loss(
    changed: dict[str, Any], seen: tuple[Sighting, ...], recovery: float | None, result: Result, says: str
) -> None:
    """Each of them alone is a reason."""
    trial = judged("node-killed", counts(**changed), "pid 7 ended", seen, recovery)

    assert trial.result == result
    assert says in trial.why
    assert (trial.shed, trial.recovery_s) == (3, recovery)


def test_the_burst_without_a_fault_need_not_be_seen() -> None:
    """But it may lose nothing either."""
    assert judged("no fault", counts(), "", (), None).result == "passed"
    assert judged("no fault", counts(lost=1), "", (), None).result == "failed"


@pytest.mark.parametrize(
    ("results", "code"),
    [
        (("passed", "passed"), 0),
        (("passed", "void"), 3),
        (("passed", "not possible here"), 3),
        (("failed", "void", "passed"), 1),
    ],
)
def test_only_a_whole_matrix_is_good(results: tuple[Result, ...], code: int) -> None:
    """What was not tried is no pass."""
    trials = tuple(Trial(fault=str(number), result=result, why="") for number, result in enumerate(results))

    assert Matrix(trace="t", peak_s=1.0, trials=trials).exit_code == code
