"""Scores a sealed prediction by the report of the run that it predicted: the error of each figure, and a verdict. Pure.

An error is the difference between the measured figure and the predicted median, as a part of the measured one. Below a
figure's floor a relative error means nothing (three answers of a 503 where two were predicted), so the floor takes the
place of the measured value there.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from ..simulation.bands import Band

# Largest error of a valid model, and the floor in the figure's unit (of `offered`: a part of it).
AIMS: Final[dict[str, tuple[float, float]]] = {
    "accepted": (0.05, 1.0),
    "shed": (0.05, 0.0),
    "ready_p50_ms": (0.15, 500.0),
    "ready_p90_ms": (0.15, 500.0),
    "queue_peak": (0.15, 40.0),
    "queue_empty_s": (0.15, 5.0),
    "upload_p99_ms": (0.25, 200.0),
}
SHED_FLOOR: Final = 0.02  # of the offered pairs


class Error(msgspec.Struct, frozen=True, kw_only=True):
    """One figure: what was predicted and measured, the error, its aim (None: none), and if the band holds it."""

    predicted: Band
    measured: float
    error: float
    aim: float | None = None
    met: bool | None = None
    inside: bool


class Scored(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict, which is of the figures with an aim. `within` is the largest of their errors."""

    valid: bool
    within: float
    errors: dict[str, Error]
    verdict: str


class Spread(msgspec.Struct, frozen=True):
    """Percentiles of the report."""

    p50: float | None = None
    p90: float | None = None
    p99: float | None = None


class Sample(msgspec.Struct, frozen=True):
    """The queue in one second."""

    t: float
    ready: int
    oldest_s: float = 0.0
    workers: int = 0


class Course(msgspec.Struct, frozen=True):
    """The queue and the workers, second by second."""

    samples: tuple[Sample, ...] = ()


class Second(msgspec.Struct, frozen=True):
    """One second of the report."""

    t: int
    offered: int = 0
    accepted: int = 0
    shed: int = 0


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a replay's report that is scored (`replay/report.py`)."""

    offered: int
    accepted: int
    shed: int
    failed: int
    unknown: int
    latency_ms: Spread
    ready_ms: Spread
    cpu_ms_per_pair: dict[str, float | None]
    course: Course
    seconds: tuple[Second, ...] = ()
    void: bool = False


def figures(report: Measured) -> dict[str, float]:
    """The report's figures, by the names of a prediction."""
    samples = report.course.samples
    found: dict[str, float | None] = {
        "offered": report.offered,
        "accepted": report.accepted,
        "shed": report.shed,
        "failed": report.failed + report.unknown,
        "upload_p50_ms": report.latency_ms.p50,
        "upload_p99_ms": report.latency_ms.p99,
        "ready_p50_ms": report.ready_ms.p50,
        "ready_p90_ms": report.ready_ms.p90,
        "ready_p99_ms": report.ready_ms.p99,
    }
    if samples:
        found["queue_peak"] = max(sample.ready for sample in samples)
        found["queue_empty_s"] = max((sample.t for sample in samples if sample.oldest_s > 0), default=0.0)
        found["workers_peak"] = max(sample.workers for sample in samples)
    found |= {f"cpu_{tier}_ms_per_pair": value for tier, value in report.cpu_ms_per_pair.items()}
    for second in report.seconds:
        for name in ("offered", "accepted", "shed"):
            found[f"{name}@{second.t}"] = getattr(second, name)
    return {name: float(value) for name, value in found.items() if value is not None}


def score(predicted: Mapping[str, Band], report: Measured) -> Scored:
    """The errors of all figures that were both predicted and measured, and the verdict."""
    measured = figures(report)
    errors = {
        name: _error(name, predicted[name], measured[name], report.offered) for name in predicted if name in measured
    }
    peak = errors.get("queue_peak")
    if peak is not None and max(peak.measured, peak.predicted.p50) < AIMS["queue_peak"][1]:
        _unjudged(errors, "queue_empty_s")  # no queue was built, so there is no time at which it was worked off
    judged = {name: errors[name] for name in AIMS if name in errors and errors[name].aim is not None}
    unjudged = [name for name in AIMS if name in errors and name not in judged]
    missing = [name for name in AIMS if name in predicted and name not in measured]
    unforeseen = [name for name in AIMS if name in measured and name not in predicted]
    wrong = [f"{name} ({one.error:.0%}, aim {one.aim:.0%})" for name, one in judged.items() if not one.met]
    within = max((one.error for one in judged.values()), default=0.0)
    if missing:
        wrong.append(f"not measured: {', '.join(missing)}")
    if unforeseen:
        wrong.append(f"not predicted: {', '.join(unforeseen)}")
    verdict = f"not valid: {', '.join(wrong)}" if wrong else f"model valid within {within:.0%}"
    if unjudged:
        verdict += f"; without a queue not judged: {', '.join(unjudged)}"
    return Scored(valid=not wrong, within=round(within, 4), errors=errors, verdict=verdict)


def _unjudged(errors: dict[str, Error], name: str) -> None:
    if name in errors:
        errors[name] = msgspec.structs.replace(errors[name], aim=None, met=None)


def _error(name: str, band: Band, measured: float, offered: int) -> Error:
    aim, floor = AIMS.get(name, (None, 1.0))
    if name.partition("@")[0] == "shed":
        floor = max(1.0, SHED_FLOOR * offered)
    error = abs(measured - band.p50) / max(abs(measured), floor)
    met = None if aim is None else error <= aim
    inside = band.p10 <= measured <= band.p90
    return Error(predicted=band, measured=measured, error=round(error, 4), aim=aim, met=met, inside=inside)
