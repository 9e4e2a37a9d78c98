"""The score of a prediction: the error of each figure, and a verdict on those with an aim."""

import msgspec
import pytest

from bench.prediction.score import AIMS, Course, Sample, Spread, score
from bench.simulation.bands import Band
from tests.unit.bench.prediction.predictions import prediction, report

FIGURES = prediction().figures


def test_a_run_as_predicted_makes_the_model_valid() -> None:
    """The verdict names the largest error of the figures with an aim."""
    found = score(FIGURES, report())
    assert found.valid
    assert found.errors["upload_p99_ms"].error == pytest.approx(100 / 4100, abs=1e-4)
    assert found.errors["upload_p99_ms"].inside
    assert found.within == max(one.error for name, one in found.errors.items() if name in AIMS)
    assert found.verdict == "model valid within 2%"


@pytest.mark.parametrize(("accepted", "valid"), [(953, 1), (952, 0)])
def test_each_aim_is_kept_or_missed(accepted: int, valid: int) -> None:
    """Accepted pairs within 5 %, from both sides of the limit."""
    found = score(FIGURES, report(accepted=accepted))
    assert found.valid == valid
    assert ("accepted (5%, aim 5%)" in found.verdict) != valid


def test_a_figure_without_an_aim_decides_nothing() -> None:
    """CPU and seconds are reported only."""
    found = score(FIGURES, report(cpu_ms_per_pair={"node": 50.0}))
    assert found.valid
    assert found.errors["cpu_node_ms_per_pair"].error == pytest.approx(0.9)
    assert found.errors["cpu_node_ms_per_pair"].met is None


@pytest.mark.parametrize(("depth", "judged"), [(39, False), (40, True)])
def test_a_queue_that_was_never_built_has_no_time_to_be_worked_off(depth: int, *, judged: bool) -> None:
    """Below the floor of its peak, measured and predicted; else the time decides."""
    low = FIGURES | {"queue_peak": Band(p10=1, p50=1, p90=1)}
    course = Course(samples=(Sample(t=900.0, ready=depth, oldest_s=1.0),))
    scored = score(low, report(course=course))
    found = scored.errors["queue_empty_s"]
    assert (found.met is False) == judged
    assert found.error > 0.15
    assert ("; without a queue not judged: queue_empty_s" in scored.verdict) != judged
    assert score(FIGURES, report(course=course)).errors["queue_empty_s"].met is False


def test_a_figure_that_was_not_measured_makes_the_model_not_valid() -> None:
    """No picture became ready: that is no pass."""
    found = score(FIGURES, report(ready_ms=Spread()))
    assert not found.valid
    assert "not measured: ready_p50_ms, ready_p90_ms" in found.verdict


def test_a_figure_that_was_not_predicted_makes_the_model_not_valid() -> None:
    """A simulation in which no picture becomes ready has no time for it: that is no pass either."""
    found = score({name: band for name, band in FIGURES.items() if not name.startswith("ready")}, report())
    assert not found.valid
    assert "not predicted: ready_p50_ms, ready_p90_ms" in found.verdict


def test_few_answers_are_measured_against_the_offered_pairs() -> None:
    """One 503 where none was predicted is no error of a hundred percent: the floor is 2 % of what was offered."""
    assert score(FIGURES, report(shed=1)).errors["shed"].error == pytest.approx(0.05)
    assert not score(FIGURES, report(shed=2)).valid


def test_the_score_is_of_plain_values() -> None:
    """As the report writes it: valid, and the errors by figure."""
    content = msgspec.to_builtins(score(FIGURES, report()))
    assert content["valid"] is True
    assert content["errors"]["accepted"]["error"] == 0.0
