"""The result table of a bench: turns readings into rows, compares each row with its aim, prints and writes the rows.

A row's `ratio` is a ratio to a rival, a ratio to a limit, or a value that the caller gives. This module knows no bench,
and of the contenders only ours.
"""

import math
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
import psutil

from .files import write_json

OURS: Final = "snapsurge"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One figure; `met` is None when the row has no aim or no ratio."""

    case: str
    unit: str
    ours: float
    peers: dict[str, float] = {}
    ratio: float | None = None
    aim: float | None = None
    met: bool | None = None


class Results(msgspec.Struct, frozen=True):
    """The content of a bench's JSON file."""

    machine: dict[str, str | int]
    rows: tuple[Row, ...]


def judged(
    case: str,
    unit: str,
    values: float | Mapping[str, float],
    *,
    ratio: float | None = None,
    at_most: float | None = None,
    at_least: float | None = None,
) -> Row:
    """A row of one value of ours, or of one value for each program, with a ratio and at most one aim for the ratio."""
    peers = dict(values) if isinstance(values, Mapping) else {OURS: values}
    # `met` compares both as they are written, so that the table never contradicts itself.
    ours, written = peers.pop(OURS), None if ratio is None else _short(ratio)
    met = None
    if written is not None and at_least is not None:
        met = written >= at_least
    elif written is not None and at_most is not None:
        met = written <= at_most
    return Row(
        # Less is better, unless the case ends so.
        case=case if at_least is None else f"{case}, at least",
        unit=unit,
        ours=_short(ours),
        peers={name: _short(value) for name, value in peers.items()},
        ratio=written,
        aim=at_most if at_least is None else at_least,
        met=met,
    )


def against(
    case: str,
    unit: str,
    rounds: Mapping[str, Sequence[float]],
    *,
    rival: str | None = None,
    at_most: float | None = None,
    at_least: float | None = None,
) -> Row:
    """A row of one reading for each program and round: the medians, and the median of the rounds' ratios to the rival.

    Without `rival`, each round is compared with the lowest value of all peers. The readings of one round are taken
    seconds apart, so other load on the machine affects both and cancels out. There is no ratio when the rival did not
    take part or its value is zero.
    """
    names = [name for name in rounds if name != OURS and rival in {name, None}]
    ratios = [
        ours / min(theirs)
        for ours, *theirs in zip(rounds[OURS], *(rounds[name] for name in names), strict=True)
        if theirs and min(theirs) > 0
    ]
    ratio = statistics.median(ratios) if ratios else None
    return judged(case, unit, medians(rounds), ratio=ratio, at_most=at_most, at_least=at_least)


def limited(case: str, unit: str, values: float | Mapping[str, float], *, limit: float) -> Row:
    """A row whose ratio is to a fixed limit and not to a peer; the limit is in the first word of `unit`."""
    ours = values[OURS] if isinstance(values, Mapping) else values
    return judged(
        f"{case} (ratio to {limit:g} {unit.split(maxsplit=1)[0]})", unit, values, ratio=ours / limit, at_most=1.0
    )


def medians(rounds: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """The median of each program's rounds."""
    return {name: statistics.median(values) for name, values in rounds.items()}


def percentile(ranked: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile: the lowest value that `percent` of the values do not exceed.

    `ranked` is sorted and not empty.
    """
    return ranked[max(0, math.ceil(len(ranked) * percent / 100) - 1)]


def _short(value: float) -> float:
    """The value with four significant digits; a whole number stays as it is."""
    return value if value == round(value) else float(f"{value:.4g}")


def machine() -> dict[str, str | int]:
    """The machine on which the bench runs: system, CPUs, memory, Python version."""
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpus": os.cpu_count() or 0,
        "memory_mib": psutil.virtual_memory().total // 2**20,
        "python": platform.python_version(),
    }


def line(row: Row) -> str:
    """A row as one line for the console."""
    peers = "  ".join(f"{name} {value:g}" for name, value in row.peers.items())
    ratio = "" if row.ratio is None else f"ratio {row.ratio:g}"
    aim = "" if row.aim is None else f"aim {row.aim:g}"
    verdict = {None: "", True: "met", False: "MISSED"}[row.met]
    return f"{row.case:<58} {row.ours:>9g} {row.unit:<26} {peers:<38} {ratio:<12} {aim:<9} {verdict}".rstrip()


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table for a README."""
    peers = list(rows[0].peers)
    lines = [
        "| case | unit | snapsurge | " + " | ".join(peers) + " | ratio | aim | met |",
        "|---|---|" + "---:|" * (len(peers) + 3) + "---|",
    ]
    for found in rows:
        values = [found.ours, *(found.peers.get(name) for name in peers), found.ratio, found.aim]
        shown = ["" if value is None else f"{value:g}" for value in values]
        met = {True: "yes", False: "**no**", None: ""}[found.met]
        lines.append(f"| {found.case} | {found.unit} | {' | '.join(shown)} | {met} |")
    return "\n".join(lines) + "\n"


def write(results: Results, path: Path) -> None:
    """Write the results as JSON with an indent of two spaces."""
    write_json(path, results)
