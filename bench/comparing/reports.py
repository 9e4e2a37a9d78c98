"""The reports of one side of a comparison: read, and refused where they are not runs of the same thing.

Only the part of a report that is compared is read here.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from ..errors import BenchError
from ..files import read_json


class NotComparable(BenchError):
    """A report cannot be read or used, or two of them are of different things; the text lists why."""


class Percentiles(msgspec.Struct, frozen=True):
    """The percentiles that are compared, in ms; None when there were no values."""

    p90: float | None = None
    p99: float | None = None


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a replay's report that is compared."""

    offered: int
    attempts: int
    shed: int
    lost: int
    half: int
    doubled: int
    wrongly_late: int
    latency_ms: Percentiles
    ready_ms: Percentiles
    void: bool
    interrupted: bool = False
    moment_id: str
    trace_sha256: str
    scale: float
    machine: dict[str, str | int]
    settings: dict[str, str]


def read(path: Path) -> Measured:
    """The report in a file; NotComparable when it is no report, or of a run that measured nothing."""
    found = read_json(path, Measured, "report of this version of `bench replay`", NotComparable)
    if found.void:
        raise NotComparable(f"{path}: the run is void, so its figures say nothing")
    if found.interrupted:
        raise NotComparable(f"{path}: the run was interrupted, so its figures are of a part of the burst")
    return found


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
