"""The page of a comparison: the verdict, each metric with its interval, and how far it is from what is allowed."""

from collections.abc import Iterator
from pathlib import Path

from ..comparing.verdict import Comparison, Judged, Verdict
from .figures import intervals
from .page import Drawing, Facts, page, save
from .page import Verdict as Shown

GOOD: dict[Verdict, bool | None] = {"no worse": True, "worse": False, "cannot tell": None, "no baseline": None}


def html(found: Comparison) -> str:
    """A comparison as one HTML page."""
    verdict = Shown(GOOD[found.verdict], f"{found.verdict.capitalize()}: {found.why}.")
    return page(f"{found.runs} runs against {found.baseline_runs}", [verdict], _parts(found))


def write(found: Comparison, path: Path) -> None:
    """Write a comparison as one HTML page."""
    save(path, html(found))


def _parts(found: Comparison) -> Iterator[Facts | Drawing]:
    if not found.metrics:
        return
    yield Facts(
        "Metrics",
        ("", "ours", "baseline", f"difference, {found.confidence:.0%}", "allowed", "verdict"),
        tuple(_row(one) for one in found.metrics),
        frozenset(f"{one.name}, {one.unit}" for one in found.metrics if one.verdict == "worse"),
        f"Means of the runs; expanded bootstrap interval of their difference, seed {found.seed}.",
    )
    drawn = [one for one in found.metrics if one.low is not None and one.high is not None and one.allowed]
    if drawn:
        names, allowed = [one.name for one in drawn], [one.allowed for one in drawn]
        yield Drawing(
            "Differences",
            "Right of the red line is worse than allowed, left of it is not; a bar across it cannot tell.",
            intervals(names, [one.low or 0.0 for one in drawn], [one.high or 0.0 for one in drawn], allowed),
        )


def _row(one: Judged) -> tuple[str, ...]:
    between = "" if one.low is None or one.high is None else f"{one.low:,.4g} … {one.high:,.4g}"
    means = ("-" if value is None else f"{value:,.4g}" for value in (one.ours, one.baseline))
    return (f"{one.name}, {one.unit}", *means, between, f"{one.allowed:,.4g}", one.verdict)
