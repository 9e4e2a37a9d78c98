"""`replay --prediction FILE`: opens the prediction before the run, scores it afterwards, and keeps the history."""

import datetime as dt
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from ..command import RESULTS
from ..errors import BenchError
from ..files import sha256
from . import history, sealed
from .score import Measured, Scored, score
from .sealed import Prediction

COSTS: Final = RESULTS / "costs.json"


def opened(path: Path | None, trace_sha256: str, scale: float, settings: Mapping[str, str]) -> Prediction | None:
    """The prediction that this run is to score; PredictionError when it is not of this run. None without a file."""
    if path is None:
        return None
    prediction = sealed.read(path)
    sealed.check(prediction, sealed.against_now(trace_sha256, scale, settings, os.cpu_count() or 1))
    # `simulate --costs` may have had others, for a reason.
    if COSTS.exists() and sha256(COSTS) != prediction.costs:
        print(f"prediction: by other costs than {COSTS.name} has now", flush=True)
    history.read()  # a damaged history is told before the burst is sent, not after it
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
    try:
        history.append(history.entry(prediction, found, Path(trace).name, now), file)
    except BenchError as error:  # the run is over and judged: what it found is not lost for this
        print(f"bench: this score is not kept: {error}", file=sys.stderr)
    return found
