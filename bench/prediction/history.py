"""What has been predicted and how it went: `bench/results/predictions.json`, to which each scored run is appended.

An extrapolation goes along axes: arrivals, sizes, the fleet, faults. An axis is validated as far as valid predictions
went along it, and a quarter further.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from ..files import read_json, write_json
from .score import Scored
from .sealed import Prediction, PredictionError

FILE: Final = Path(__file__).resolve().parents[1] / "results" / "predictions.json"
FURTHER: Final = 1.25


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One scored prediction; `errors` of the figures with an aim."""

    scored_at: str
    sealed_at: str
    trace: str
    trace_sha256: str
    code: str
    axes: dict[str, float | str]
    valid: bool
    within: float
    errors: dict[str, float]


def entry(prediction: Prediction, scored: Scored, trace: str, scored_at: str) -> Entry:
    """The line of the history."""
    return Entry(
        scored_at=scored_at,
        sealed_at=prediction.sealed_at,
        trace=trace,
        trace_sha256=prediction.trace_sha256,
        code=prediction.code,
        axes=prediction.axes,
        valid=scored.valid,
        within=scored.within,
        errors={name: one.error for name, one in scored.errors.items() if one.aim is not None},
    )


def read(path: Path = FILE) -> tuple[Entry, ...]:
    """All entries, the oldest first; none when there is no file."""
    if not path.exists():
        return ()
    return read_json(path, tuple[Entry, ...], "history of predictions", PredictionError)


def append(one: Entry, path: Path = FILE) -> None:
    """Add an entry; the file is replaced as a whole."""
    write_json(path, (*read(path), one))


def validated(axes: Mapping[str, float | str], history: Sequence[Entry]) -> dict[str, str]:
    """For each axis `validated` or `not validated`, and how far valid predictions went."""
    found: dict[str, str] = {}
    valid = [one for one in history if one.valid]
    for name, value in axes.items():
        known = [one.axes[name] for one in valid if name in one.axes]
        if isinstance(value, str):
            texts = sorted({str(one) for one in known})
            found[name] = _told(value in texts, ", ".join(texts))
        else:
            numbers = sorted(float(one) for one in known if not isinstance(one, str))
            within = bool(numbers) and numbers[0] / FURTHER <= value <= numbers[-1] * FURTHER
            found[name] = _told(within, f"{numbers[0]:g} to {numbers[-1]:g}" if numbers else "")
    return found


def _told(known: bool, how_far: str) -> str:  # noqa: FBT001 - one word or the other
    return f"{'validated' if known else 'not validated'} ({how_far or 'no valid prediction yet'})"
