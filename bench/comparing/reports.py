"""The reports of one side of a comparison: read, and refused where they are not runs of the same thing.

Only the part of a report that is compared is read here.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ..errors import BenchError
from ..files import read_json
from ..outcome import UNSERVED_MAX

Count = Annotated[int, Meta(ge=0)]
Milliseconds = Annotated[float, Meta(ge=0)]


class NotComparable(BenchError):
    """A report cannot be read or used, or two of them are of different things; the text lists why."""


class Percentiles(msgspec.Struct, frozen=True):
    """The percentiles that are compared, in ms; None when there were no values."""

    p90: Milliseconds | None = None
    p99: Milliseconds | None = None


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a replay's report that is compared."""

    offered: Count
    accepted: Count
    failed: Count
    unknown: Count
    attempts: Count
    shed: Count
    lost: Count
    half: Count
    doubled: Count
    wrongly_late: Count
    pending: Count
    unserved: Count = 0
    latency_ms: Percentiles
    ready_ms: Percentiles
    void: bool
    interrupted: bool = False
    stopped_by: str | None = None
    verdict: Literal["pass", "fail", "void"]
    moment_id: str
    trace_sha256: str
    scale: float
    machine: dict[str, str | int]
    settings: dict[str, str]


def read(path: Path) -> Measured:
    """The report in a file; NotComparable when it is no report, or of a run that did not measure the whole burst."""
    found = read_json(path, Measured, "report of this version of `bench replay`", NotComparable)
    if why := _unusable(found) or _impossible(found):
        raise NotComparable(f"{path}: {why}")
    return found


def _unusable(one: Measured) -> str | None:
    """Why a run's figures are not those of its burst."""
    if one.void or one.verdict == "void":
        return "the run is void, so its figures say nothing"
    if one.interrupted:
        return "the run was interrupted, so its figures are of a part of the burst"
    if one.stopped_by:
        return f"the run was stopped by a rule ({one.stopped_by}), so its figures are of a part of the burst"
    if one.pending:
        return f"{one.pending} posts were not ready in the end, so its times to ready are too short"
    # A broken promise and users who were not served are compared; a run that failed by anything else is not whole.
    promises = one.lost + one.half + one.doubled + one.wrongly_late
    if one.verdict == "fail" and not promises and one.unserved <= UNSERVED_MAX * one.offered:
        return "the run failed, and by nothing that is compared here; its report says why"
    return None


def _impossible(one: Measured) -> str | None:
    """The first figures that no run can have."""
    if one.accepted + one.failed + one.unknown != one.offered:
        return f"offered {one.offered} is not accepted {one.accepted} + failed {one.failed} + unknown {one.unknown}"
    if one.attempts < one.offered:
        return f"{one.attempts} attempts of {one.offered} users: each makes at least one"
    if one.shed > one.attempts:
        return f"{one.shed} answers of 503 to {one.attempts} attempts"
    if one.accepted and one.latency_ms.p99 is None:
        return f"{one.accepted} were accepted, and the time of none is known"
    for times in (one.latency_ms, one.ready_ms):
        if times.p90 is not None and times.p99 is not None and times.p90 > times.p99:
            return f"a p90 of {times.p90:g} ms above the p99 of {times.p99:g} ms"
    return None


def refuse_different(reports: Sequence[tuple[Path, Measured]]) -> None:
    """NotComparable when the reports are not all of the same trace, scale, machine and settings, or one is there twice.

    The text has a line for each difference, with the value of each report.
    """
    # Each run opens a moment of its own: one run given twice is not two.
    runs = Counter(one.moment_id for _, one in reports)
    twice = [str(path) for path, one in reports if runs[one.moment_id] > 1]
    if twice:
        raise NotComparable(f"one run was given more than once: {', '.join(twice)}")
    lines = list(_differences(reports))
    if lines:
        raise NotComparable("\n  ".join(["these runs cannot be compared, they differ in", *lines]))


def _differences(reports: Sequence[tuple[Path, Measured]]) -> Iterator[str]:
    """A line for each value that is not the same in all reports."""
    flat = [(str(path), _conditions(one)) for path, one in reports]
    for name in dict.fromkeys(name for _, one in flat for name in one):
        files: defaultdict[str, list[str]] = defaultdict(list)
        for path, one in flat:
            files[one.get(name, "(not there)")].append(path)
        if len(files) > 1:
            yield f"{name}: " + ", ".join(f"{value} in {_short(paths)}" for value, paths in files.items())


def _conditions(one: Measured) -> dict[str, str]:
    """What must be the same in all reports, by name."""
    return {
        "trace_sha256": one.trace_sha256,
        "scale": f"{one.scale:g}",
        **{f"machine.{name}": str(value) for name, value in one.machine.items()},
        **{f"settings.{name}": value for name, value in one.settings.items()},
    }


def _short(paths: Sequence[str]) -> str:
    return paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
