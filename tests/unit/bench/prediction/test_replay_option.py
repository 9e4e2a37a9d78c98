"""`replay --prediction`: a prediction is opened before the run, scored by its report, and kept."""

import datetime as dt
from pathlib import Path

import pytest

from bench.prediction import history, replay_option, sealed
from bench.prediction.sealed import PredictionError
from bench.simulation.code import code_hash
from tests.unit.bench.prediction.predictions import FLEET, KNOWN, prediction, report


def test_without_a_file_nothing_is_scored() -> None:
    """A plain replay."""
    assert replay_option.opened(None, "aa", 1.0, {}) is None


def test_a_prediction_is_checked_before_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of this code is opened; one that was sealed in the future is refused."""
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    file = tmp_path / "sealed.json"
    sealed.seal(file, prediction(code=code_hash(), fleet=FLEET, sealed_at="2020-01-01T00:00:00+00:00"))
    assert replay_option.opened(file, "aa", 1.0, KNOWN) == sealed.read(file)
    later = (dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)).isoformat()
    sealed.seal(file, prediction(code=code_hash(), sealed_at=later))
    with pytest.raises(PredictionError, match="after the run began"):
        replay_option.opened(file, "aa", 1.0, KNOWN)


def test_a_score_is_printed_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line for each figure with an aim, then the verdict; the history has one more entry."""
    file = tmp_path / "predictions.json"
    assert replay_option.scored(prediction(), report(), "traces/demo", file).valid
    said = capsys.readouterr().out
    assert "prediction accepted: predicted 1000 (900 to 1100), measured 1000, error 0% of 5%" in said
    assert "prediction: model valid within" in said
    assert [one.trace for one in history.read(file)] == ["demo"]


def test_the_score_of_a_void_run_is_not_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It was not the burst that was predicted."""
    file = tmp_path / "predictions.json"
    replay_option.scored(prediction(), report(void=True), "demo", file)
    assert "the run is void, so this score is not kept" in capsys.readouterr().out
    assert not file.exists()
