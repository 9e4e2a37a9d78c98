"""The matrix as a table for the console, a row a fault."""

from collections.abc import Iterator
from typing import Final

from rich.markup import escape
from rich.table import Table

from .matrix import Matrix, Result, Trial

COLOURS: Final[dict[Result, str]] = {
    "passed": "green",
    "failed": "bold red",
    "void": "yellow",
    "not possible here": "yellow",
}
COLUMNS: Final = ("fault", "seen by", "after s", "shed", "lost", "late by us", "recovery s", "result")


def table(matrix: Matrix) -> Table:
    """Each fault, the first metric that saw it, what it cost, how long it took, and the result with its reason."""
    title = f"{escape(matrix.trace)}, each fault at its peak ({matrix.peak_s:.0f} s after the moment)"
    shown = Table(*COLUMNS, title=title)
    for trial in matrix.trials:
        shown.add_row(*_cells(trial))
    return shown


def lines(matrix: Matrix) -> Iterator[str]:
    """The evidence of each fault, one line each."""
    return (f"{trial.fault}: {trial.evidence}" for trial in matrix.trials if trial.evidence)


def _cells(trial: Trial) -> tuple[str, ...]:
    said = f"[{COLOURS[trial.result]}]{trial.result}[/]" + (f": {escape(trial.why)}" if trial.why else "")
    if trial.result == "not possible here" or not trial.offered:
        return (trial.fault, "", "", "", "", "", "", said)
    first = trial.seen[0] if trial.seen else None
    counts = (str(trial.shed), str(trial.lost), str(trial.late_by_us))
    recovery = "" if trial.recovery_s is None else f"{trial.recovery_s:.1f}"
    return (trial.fault, first.words if first else "", f"{first.after_s:.1f}" if first else "", *counts, recovery, said)
