"""The history of predictions says along which axes an extrapolation was validated."""

from pathlib import Path

import pytest

from bench.prediction import history
from bench.prediction.score import Course, Sample, score
from bench.prediction.sealed import PredictionError
from bench.simulation.bands import Band
from tests.unit.bench.prediction.predictions import prediction, report


def entry(pairs: float = 1000.0, faults: str = "none", *, accepted: int = 1000) -> history.Entry:
    """A scored prediction of so many pairs."""
    scored = score(prediction().figures, report(accepted=accepted))
    return history.entry(prediction(axes={"pairs": pairs, "faults": faults}), scored, "demo", "2026-11-30T12:05:00Z")


def test_entries_are_appended(tmp_path: Path) -> None:
    """Nothing that was written is changed."""
    file = tmp_path / "predictions.json"
    assert history.read(file) == ()
    history.append(entry(), file)
    history.append(entry(2000.0), file)
    assert history.read(file) == (entry(), entry(2000.0))
    assert entry().errors["accepted"] == 0.0


def test_what_was_not_judged_is_no_error_of_the_model() -> None:
    """As the second in which a queue is empty that was never built."""
    low = prediction().figures | {"queue_peak": Band(p10=1, p50=1, p90=1)}
    scored = score(low, report(course=Course((Sample(t=900.0, ready=1, oldest_s=1.0),))))
    found = history.entry(prediction(), scored, "demo", "2026-11-30T12:05:00Z")
    assert (found.valid, "queue_empty_s" in found.errors, "queue_peak" in found.errors) == (True, False, True)


def test_a_damaged_history_is_not_replaced(tmp_path: Path) -> None:
    """The text names the file."""
    file = tmp_path / "predictions.json"
    file.write_text("{")
    with pytest.raises(PredictionError, match=r"predictions\.json"):
        history.append(entry(), file)
    assert file.read_text() == "{"
    with pytest.raises(PredictionError, match="Is a directory"):
        history.read(tmp_path)


@pytest.mark.parametrize(("pairs", "known"), [(800.0, ""), (799.0, "not "), (2500.0, ""), (2501.0, "not ")])
def test_an_axis_is_validated_a_quarter_beyond_valid_predictions(pairs: float, known: str) -> None:
    """Both ends, from both sides."""
    found = history.validated({"pairs": pairs}, (entry(1000.0), entry(2000.0)))
    assert found["pairs"] == f"{known}validated (1000 to 2000)"


def test_what_was_never_predicted_well_is_not_validated() -> None:
    """A fault that no run had, and a run whose model was not valid."""
    wrong = entry(5000.0, "zone", accepted=500)
    assert not wrong.valid
    found = history.validated({"faults": "zone", "pairs": 5000.0}, (entry(), wrong))
    assert found == {"faults": "not validated (none)", "pairs": "not validated (1000 to 1000)"}
    assert history.validated({"faults": "none"}, ())["faults"] == "not validated (no valid prediction yet)"
