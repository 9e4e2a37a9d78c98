"""`replay --prediction FILE`: opens the prediction before the run, scores it afterwards, and keeps the history."""

import datetime as dt
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from . import history, sealed
from .score import Measured, Scored, score
from .sealed import Prediction


def opened(path: Path | None, trace_sha256: str, scale: float, settings: Mapping[str, str]) -> Prediction | None:
    """The prediction that this run is to score; PredictionError when it is not of this run. None without a file."""
    if path is None:
        return None
    prediction = sealed.read(path)
    sealed.check(prediction, sealed.against_now(trace_sha256, scale, settings, os.cpu_count() or 1))
    return prediction


def scored(prediction: Prediction, report: msgspec.Struct, trace: str, file: Path = history.FILE) -> Scored:
    """The score by the run's report, which is printed and, unless the run is void, appended to the history."""
    measured = msgspec.convert(msgspec.to_builtins(report), Measured)
    found = score(prediction.figures, measured)
    for name, one in found.errors.items():
        if one.aim is not None:
            band = one.predicted
            shown = f"predicted {band.p50:g} ({band.p10:g} to {band.p90:g}), measured {one.measured:g}"
            print(f"prediction {name}: {shown}, error {one.error:.0%} of {one.aim:.0%}")
    print(f"prediction: {found.verdict}")
    if measured.void:
        print("prediction: the run is void, so this score is not kept")
        return found
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    history.append(history.entry(prediction, found, Path(trace).name, now), file)
    return found
