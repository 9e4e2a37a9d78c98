"""The page of a rehearsal: the matrix of faults, and how long each was unseen and unrecovered."""

from collections.abc import Iterator
from pathlib import Path

from ..rehearsal.matrix import Matrix, Trial
from .figures import bars
from .page import Drawing, Facts, Verdict, page, save


def html(matrix: Matrix) -> str:
    """A rehearsal's matrix of faults as one HTML page."""
    return page(f"Faults at the peak of {matrix.trace}", list(verdicts(matrix)), _parts(matrix))


def write(matrix: Matrix, path: Path) -> None:
    """Write a rehearsal's matrix of faults as one HTML page."""
    save(path, html(matrix))


def verdicts(matrix: Matrix) -> Iterator[Verdict]:
    """What failed, what is not known, else that all passed."""
    failed = [trial for trial in matrix.trials if trial.result == "failed"]
    unknown = [trial for trial in matrix.trials if trial.result in {"void", "not possible here"}]
    if failed:
        yield Verdict(False, "Failed: " + "; ".join(f"{trial.fault}: {trial.why}" for trial in failed) + ".")
    if unknown:
        yield Verdict(None, "Not known: " + "; ".join(f"{one.fault}, {one.result}: {one.why}" for one in unknown) + ".")
    if not failed and not unknown:
        yield Verdict(True, "Every fault was seen by a metric and recovered from, and cost no pair.")


def _parts(matrix: Matrix) -> Iterator[Facts | Drawing]:
    yield Facts(
        "Faults",
        ("fault", "seen by", "after s", "offered", "accepted", "shed", "lost", "late by us", "recovery s", "result"),
        tuple(_row(trial) for trial in matrix.trials),
        frozenset(trial.fault for trial in matrix.trials if trial.result == "failed"),
        f"Each at the burst's peak, {matrix.peak_s:.0f} s after the moment. Shed counts answers: a pair may get "
        "several and be accepted in the end.",
    )
    struck = [trial for trial in matrix.trials if trial.recovery_s is not None]
    if struck:
        yield Drawing(
            "Recovery",
            "Until all programs answered again and no more errors came than without a fault.",
            bars([trial.fault for trial in struck], [trial.recovery_s or 0.0 for trial in struck], "seconds", ""),
        )
    told = [(trial.fault, trial.evidence) for trial in matrix.trials if trial.evidence]
    if told:
        yield Facts("Evidence", ("fault", "what happened"), tuple(told))
    others = [
        (trial.fault, ", ".join(f"{one.words} ({one.after_s:.1f} s)" for one in trial.seen)) for trial in matrix.trials
    ]
    yield Facts("Metrics that moved", ("fault", "the first of them"), tuple(one for one in others if one[1]))


def _row(trial: Trial) -> tuple[str, ...]:
    first = trial.seen[0] if trial.seen else None
    seen = (first.words, f"{first.after_s:.1f}") if first else ("", "")
    if not trial.offered:
        return (trial.fault, *[""] * 8, f"{trial.result}: {trial.why}")
    counts = (trial.offered, trial.accepted, trial.shed, trial.lost, trial.late_by_us)
    recovery = "" if trial.recovery_s is None else f"{trial.recovery_s:.1f}"
    return (trial.fault, *seen, *(f"{count:,}" for count in counts), recovery, trial.result)
