"""`replay --prediction`: a prediction is opened before the run, scored by its report, and kept."""

import datetime as dt
from pathlib import Path

import pytest

from bench.files import sha256
from bench.prediction import history, replay_option, sealed
from bench.prediction.sealed import PredictionError
from bench.simulation.code import code_hash
from tests.unit.bench.prediction.predictions import FLEET, KNOWN, prediction, report


def test_without_a_file_nothing_is_scored() -> None:
    """A plain replay."""
    assert replay_option.opened(None, "aa", 1.0, {}) is None


def test_a_prediction_is_checked_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One of this code is opened, and other costs are told; one that was sealed in the future is refused."""
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    file = tmp_path / "sealed.json"
    before = (dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)).isoformat()
    sealed.seal(file, prediction(code=code_hash(), fleet=FLEET, sealed_at=before))
    assert replay_option.opened(file, "aa", 1.0, KNOWN) == sealed.read(file)
    assert capsys.readouterr().out == "prediction: by other costs than costs.json has now\n"
    same = sha256(replay_option.COSTS)
    sealed.seal(file, prediction(code=code_hash(), fleet=FLEET, sealed_at=before, costs=same))
    assert replay_option.opened(file, "aa", 1.0, KNOWN) == sealed.read(file)
    assert capsys.readouterr().out == ""
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


def test_a_score_that_cannot_be_kept_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The run is over: its verdict and its report are not lost for a damaged history."""
    file = tmp_path / "predictions.json"
    file.write_text("{")
    assert replay_option.scored(prediction(), report(), "demo", file).valid
    assert "bench: this score is not kept: " in capsys.readouterr().err
    assert file.read_text() == "{"


def test_the_score_of_a_void_run_is_not_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It was not the burst that was predicted."""
    file = tmp_path / "predictions.json"
    replay_option.scored(prediction(), report(void=True), "demo", file)
    assert "the run is void, so this score is not kept" in capsys.readouterr().out
    assert not file.exists()
