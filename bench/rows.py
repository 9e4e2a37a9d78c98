"""From readings to the table of a bench: rows, what they are judged by, and how they are shown and written.

A row's `ratio` is to a rival, to a limit, or the caller's own; `met` follows from it and `aim` as they are written.
Less is better, unless the case ends in "at least". It knows no bench, and no contender but ours.
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

OURS: Final = "snapsurge"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One figure; `met` is empty where nothing is aimed at or there is no ratio."""

    case: str
    unit: str
    ours: float
    peers: dict[str, float] = {}
    ratio: float | None = None
    aim: float | None = None
    met: bool | None = None


class Results(msgspec.Struct, frozen=True):
    """What a bench writes."""

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
    """A figure, ours alone or by program, with a ratio and at most one aim for it."""
    peers = dict(values) if isinstance(values, Mapping) else {OURS: values}
    ours, written = peers.pop(OURS), None if ratio is None else _short(ratio)
    met = None
    if written is not None and at_least is not None:
        met = written >= at_least
    elif written is not None and at_most is not None:
        met = written <= at_most
    return Row(
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
    """A figure by program, a reading each round: medians, and the median of the rounds' ratios to the rival.

    Without a rival's name it is the least of all peers in each round. Each round's ratio is of readings seconds apart,
    so what the machine did meanwhile to both cancels out. No ratio where the rival did not take part or took nothing.
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
    """A figure with a limit of its own, in the unit's first word; the ratio is to that, not to a peer."""
    ours = values[OURS] if isinstance(values, Mapping) else values
    return judged(
        f"{case} (ratio to {limit:g} {unit.split(maxsplit=1)[0]})", unit, values, ratio=ours / limit, at_most=1.0
    )


def medians(rounds: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Of each program's rounds."""
    return {name: statistics.median(values) for name, values in rounds.items()}


def percentile(ranked: Sequence[float], percent: float) -> float:
    """The least of these values, sorted and at least one, that so many percent do not exceed."""
    return ranked[max(0, math.ceil(len(ranked) * percent / 100) - 1)]


def _short(value: float) -> float:
    """Four significant digits; a count as it is."""
    return value if value == round(value) else float(f"{value:.4g}")


def machine() -> dict[str, str | int]:
    """Where the figures come from."""
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpus": os.cpu_count() or 0,
        "memory_mib": psutil.virtual_memory().total // 2**20,
        "python": platform.python_version(),
    }


def line(row: Row) -> str:
    """A row for the console."""
    peers = "  ".join(f"{name} {value:g}" for name, value in row.peers.items())
    ratio = "" if row.ratio is None else f"ratio {row.ratio:g}"
    aim = "" if row.aim is None else f"aim {row.aim:g}"
    verdict = {None: "", True: "met", False: "MISSED"}[row.met]
    return f"{row.case:<58} {row.ours:>9g} {row.unit:<26} {peers:<38} {ratio:<12} {aim:<9} {verdict}".rstrip()


def markdown(rows: Sequence[Row]) -> str:
    """The table for a README."""
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
    """The JSON file, two spaces deep."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=2) + b"\n")
