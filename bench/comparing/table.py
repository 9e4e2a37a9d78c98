"""The comparison as a table for the console: the verdict first, in the title."""

from typing import Final

from rich.table import Table

from .verdict import Comparison, Judged, Verdict

COLOURS: Final[dict[Verdict, str]] = {
    "no worse": "green",
    "worse": "red",
    "cannot tell": "yellow",
    "no baseline": "red",
}


def table(found: Comparison) -> Table:
    """A row a metric: the means of both sides, the interval of their difference, the limit, the verdict."""
    title = f"[bold {COLOURS[found.verdict]}]{found.verdict}[/]: {found.why}"
    shown = Table(title=title, caption=f"{found.runs} runs against {found.baseline_runs}, seed {found.seed}")
    for name in ("", "ours", "baseline", f"difference, {found.confidence:.0%}", "allowed", "verdict"):
        shown.add_column(name, justify="right" if name else "left")
    for one in found.metrics:
        between = "" if one.low is None or one.high is None else f"{_short(one.low)} … {_short(one.high)}"
        verdict = f"[{COLOURS[one.verdict]}]{one.verdict}[/]"
        means = ("-" if value is None else _short(value) for value in (one.ours, one.baseline))
        shown.add_row(_label(one), *means, between, _short(one.allowed), verdict)
    return shown


def _label(one: Judged) -> str:
    return f"{one.name}, {one.unit}"


def _short(value: float) -> str:
    """Four significant digits, without an exponent."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
