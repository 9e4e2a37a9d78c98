"""The page of a replay: was every promise kept, how did it go by the second, was it fair, what did it cost."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Final

from ..replay.report import BROKEN, Percentiles, Report
from ..replay.seconds import Second
from .figures import Band, Points, bars, distribution, heat, lines
from .page import Drawing, Facts, Verdict, page, save
from .predicted import bands as bands_of

CELLS_A_DECADE: Final = 12  # of the heat map's time axis: a cell is a fifth longer than the one below
CELLS_WIDE_MAX: Final = 150
CDF_POINTS_MAX: Final = 300
ARRIVALS: Final = (
    "offered",
    "accepted",
    "on_time",
    "late",
    "ready",
    "rejected",
    "shed",
    "limited",
    "failed",
    "unknown",
    "unserved",
)
Bands = Mapping[str, Sequence[Band]]


def html(report: Report, bands: Bands) -> str:
    """The file; `bands` by the names of the lines below which they are drawn."""
    return page(f"Replay of {report.trace}", list(verdicts(report)), _parts(report, bands))


def write(report: Report, path: Path, prediction: Path | None = None) -> None:
    """Write the file, with the bands of a sealed prediction below the measured lines."""
    save(path, html(report, bands_of(prediction) if prediction else {}))


def verdicts(report: Report) -> Iterator[Verdict]:
    """Whether the run may be believed, then whether the promises were kept."""
    if report.interrupted:
        yield Verdict(None, "Interrupted: only the uploads that had ended are counted.")
    if report.void:
        yield Verdict(None, f"Void: {'; '.join(report.voided)}.")
    if report.stopped_by:
        yield Verdict(False, f"Stopped by {report.stopped_by}.")
    if report.unmet:
        yield Verdict(False, f"Failed: {'; '.join(report.unmet)}.")
    if report.prediction:
        yield Verdict(report.prediction.valid, f"The sealed prediction: {report.prediction.verdict}.")
    broken = {name: getattr(report, name) for name in BROKEN if getattr(report, name)}
    if broken or report.bad_renditions:
        told = [f"{count} {name.replace('_', ' ')}" for name, count in broken.items()]
        told += [f"{report.bad_renditions} bad renditions"] if report.bad_renditions else []
        yield Verdict(False, f"Promises broken: {', '.join(told)}.")
    elif not report.unchecked:
        yield Verdict(True, f"No pair of {report.accepted} accepted was lost, halved, doubled or wrongly late.")


def _parts(report: Report, bands: Bands) -> Iterator[Facts | Drawing]:
    window_s = report.course.window_s
    yield _counts(report, "Promises, in pairs", (*BROKEN, "bad_renditions", "pending"), none=True)
    yield _counts(report, "Arrivals and their answers", ARRIVALS)
    yield _times(report)
    yield Drawing(
        "Offered, accepted, goodput",
        "Offered and accepted by the second in which a pair was due, goodput by the second in which it was "
        "acknowledged. Shed counts answers of 503, of which one pair may get several.",
        lines("pairs a second", _rates(report.seconds), window_s=window_s, bands=bands, filled="offered"),
    )
    step, cells = heat_cells(report.seconds)
    if cells:
        yield Drawing(
            "Upload time over the burst",
            "From the intended time to the acknowledgement, waiting and retries included: what the user saw. The "
            "colour tells how many pairs.",
            heat(cells, step, "milliseconds"),
        )
    yield Drawing(
        "Upload and ready time, all arrivals",
        "A line that ends below 100 % leaves out arrivals that never got there.",
        distribution(_distributions(report.seconds)),
    )
    if report.uplinks:
        yield _fairness(report)
    yield from _course(report, window_s, bands)
    yield from _cpu(report.seconds, bands)
    yield _conditions(report)


def _counts(report: Report, heading: str, names: Sequence[str], *, none: bool = False) -> Facts:
    """A table of counts; those that should be `none` are marked when they are not."""
    rows = tuple((name.replace("_", " "), f"{getattr(report, name):,}") for name in names)
    wrong = frozenset(name.replace("_", " ") for name in names if none and getattr(report, name))
    return Facts(heading, ("", ""), rows, wrong)


def _times(report: Report) -> Facts:
    def row(name: str, found: Percentiles) -> tuple[str, ...]:
        values = (found.p50, found.p90, found.p99, found.max)
        return (name, *("-" if value is None else f"{value:,.0f}" for value in values))

    rows = [
        row("upload ms", report.latency_ms),
        row("ready ms", report.ready_ms),
        row("sender's lag ms", report.lag_ms),
    ]
    spent = {tier: ms for tier, ms in report.cpu_ms_per_pair.items() if ms is not None}
    rows += [(f"CPU ms a pair, {tier}", f"{ms:.2f}", "", "", "") for tier, ms in spent.items()]
    if spent:
        cores = 1000 / sum(spent.values())
        rows.append(("pairs/s that a core of all tiers carries", f"{cores:.1f}", "", "", ""))
    return Facts("Times and cost", ("", "p50", "p90", "p99", "max"), tuple(rows))


def _rates(seconds: Iterable[Second]) -> dict[str, Points]:
    listed = list(seconds)
    acknowledged: Counter[int] = Counter()
    for one in listed:
        for bound, count in one.upload_ms.items():
            acknowledged[int(one.t + 0.5 + float(bound) / 1000)] += count  # due in the middle of its second, on average
    return {
        **{name: [(one.t, getattr(one, name)) for one in listed] for name in ("offered", "accepted")},
        "goodput": [(t, acknowledged[t]) for t in range(max(acknowledged, default=-1) + 1)],
        "shed": [(one.t, one.shed) for one in listed],
    }


def heat_cells(seconds: Sequence[Second]) -> tuple[int, dict[tuple[int, float, float], int]]:
    """Seconds that a cell is wide, and pairs by (first second, least ms, most ms), from the seconds' histograms."""
    step = math.ceil(len(seconds) / CELLS_WIDE_MAX) or 1
    found: Counter[tuple[int, float, float]] = Counter()
    for one in seconds:
        for bound, count in one.upload_ms.items():
            cell = math.floor(math.log10(max(float(bound), 1.0)) * CELLS_A_DECADE)
            low, high = (float(f"{10 ** (end / CELLS_A_DECADE):.4g}") for end in (cell, cell + 1))
            found[one.t // step * step, low, high] += count
    return step, dict(found)


def _distributions(seconds: Sequence[Second]) -> dict[str, Points]:
    offered = sum(one.offered for one in seconds)
    return {
        "acknowledged after the intended time": cumulative((one.upload_ms for one in seconds), offered),
        "ready after the acknowledgement": cumulative((one.ready_ms for one in seconds), offered),
    }


def cumulative(histograms: Iterable[Mapping[str, int]], offered: int) -> Points:
    """(ms, part of the offered that took at most so long), thinned to what a screen can show."""
    whole: Counter[float] = Counter()
    for histogram in histograms:
        for bound, count in histogram.items():
            whole[max(float(bound), 1.0)] += count
    bounds = sorted(whole)
    points = [
        (bound, reached / max(offered, 1))
        for bound, reached in zip(bounds, accumulate(whole[bound] for bound in bounds), strict=True)
    ]
    step = math.ceil(len(points) / CDF_POINTS_MAX) or 1
    return [*points[:-1:step], *points[-1:]]


def _fairness(report: Report) -> Drawing:
    known = [one for one in report.uplinks if one.offered]
    return Drawing(
        "On time, by the speed of the uplink",
        "Ten groups of arrivals, the slowest first. Whoever is slow may be late by his uplink; the share should not "
        "fall because of us.",
        bars(
            [f"≤ {one.bytes_per_s_max / 1000:,.0f} kB/s" for one in known],
            [one.on_time / one.offered for one in known],
            "on time, of those offered",
            "uplink",
            share=True,
        ),
    )


def _course(report: Report, window_s: float, bands: Bands) -> Iterator[Drawing]:
    samples = report.course.samples
    if not samples:
        return
    ready, oldest = ([(one.t, getattr(one, name)) for one in samples] for name in ("ready", "oldest_s"))
    yield Drawing(
        "Queue",
        "Jobs that are ready to run and wait for a worker.",
        lines("jobs", {"jobs ready": ready}, window_s=window_s, bands=bands),
    )
    yield Drawing(
        "Oldest job",
        "How long the picture that waits longest has waited.",
        lines("seconds", {"oldest job": oldest}, window_s=window_s, bands=bands),
    )
    workers, desired = ([(one.t, getattr(one, name)) for one in samples] for name in ("workers", "desired"))
    yield Drawing(
        "Workers",
        "Desired should rise before the burst, and workers should follow it.",
        lines("processes", {"desired": desired, "workers": workers}, window_s=window_s, bands=bands, steps=True),
    )


def _cpu(seconds: Sequence[Second], bands: Bands) -> Iterator[Drawing]:
    tiers = list(dict.fromkeys(tier for one in seconds for tier in one.cpu_ms))
    if tiers:
        drawn = {tier: [(one.t, one.cpu_ms.get(tier, 0.0) / 1000) for one in seconds] for tier in tiers}
        yield Drawing(
            "CPU by tier", "Cores in use, of all processes of a tier.", lines("cores", drawn, bands=bands, steps=True)
        )


def _conditions(report: Report) -> Facts:
    rows = {
        "trace": f"{report.trace} (SHA-256 {report.trace_sha256[:16]}…)",
        "scale": f"{report.scale:g}",
        "target": ", ".join(report.target),
        "moment": report.moment_id,
        **{name: str(value) for name, value in report.machine.items()},
        **report.settings,
    }
    return Facts("What was run", ("", ""), tuple(rows.items()))
