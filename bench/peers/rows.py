"""From readings to the table: a row for each case and measure, its ratio to HAProxy, its aim, and whether it is met.

The aims are those of the balancer's specification: CPU per request against HAProxy in the same run, and memory for each
open upload against a fixed 64 KiB. All other rows are there to be read, without an aim.
"""

import os
import platform
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
import psutil

OURS: Final = "snapsurge"
RIVAL: Final = "haproxy"
CPU_UNIT: Final = "CPU ms per request"
RSS_KIB_MAX: Final = 64


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One figure; `met` follows from `ratio` and `aim`, empty where nothing is aimed at."""

    case: str
    unit: str
    ours: float
    peers: dict[str, float] = {}
    ratio: float | None = None
    aim: float | None = None
    met: bool | None = None


class Results(msgspec.Struct, frozen=True):
    """What a contest writes."""

    machine: dict[str, str | int]
    rows: tuple[Row, ...]


def row(
    case: str, unit: str, rounds: Mapping[str, list[float]], *, aim: float | None = None, rival: str = RIVAL
) -> Row:
    """A figure from its readings by program, a list of rounds each: medians, and the median of the ratios to the rival.

    Each round's ratio is of two readings seconds apart, so what the machine did meanwhile to both cancels out.
    """
    medians = {name: statistics.median(found) for name, found in rounds.items()}
    ratios = [ours / theirs for ours, theirs in zip(rounds[OURS], rounds[rival], strict=True) if theirs > 0]
    ratio = statistics.median(ratios) if ratios else None
    return Row(
        case=case,
        unit=unit,
        ours=_short(medians.pop(OURS)),
        peers={name: _short(value) for name, value in medians.items()},
        ratio=None if ratio is None else _short(ratio),
        aim=aim,
        met=None if aim is None or ratio is None else ratio <= aim,
    )


def memory_row(phones: int, kib: Mapping[str, float]) -> Row:
    """Memory for each open upload."""
    return limit_row(f"{phones} slow uploads", "KiB RSS per open upload", kib, limit=RSS_KIB_MAX)


def limit_row(case: str, unit: str, values: Mapping[str, float], *, limit: float) -> Row:
    """A figure with a limit of its own; the ratio is to that, not to a peer."""
    ours = values[OURS]
    return Row(
        case=f"{case} (ratio to {limit:g} {unit.split(maxsplit=1)[0]})",
        unit=unit,
        ours=_short(ours),
        peers={name: _short(value) for name, value in values.items() if name != OURS},
        ratio=_short(ours / limit),
        aim=1.0,
        met=ours <= limit,
    )


def cpu_aim(body: int, *, tls: bool) -> float:
    """The greatest ratio to HAProxy that satisfies."""
    if tls:
        return 1.3
    return 1.5 if body == 0 else 1.0 if body < 200_000 else 0.9


def _short(value: float) -> float:
    """Four significant digits."""
    return float(f"{value:.4g}")


def machine() -> dict[str, str | int]:
    """Where the figures come from."""
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpus": os.cpu_count() or 0,
        "memory_mib": psutil.virtual_memory().total // 2**20,
        "python": platform.python_version(),
    }


def markdown(results: Results) -> str:
    """The table for a README."""
    peers = list(results.rows[0].peers)
    lines = [
        "| case | unit | snapsurge | " + " | ".join(peers) + " | ratio | aim | met |",
        "|---|---|" + "---:|" * (len(peers) + 3) + "---|",
    ]
    for found in results.rows:
        values = [found.ours, *(found.peers.get(name) for name in peers), found.ratio, found.aim]
        shown = ["" if value is None else f"{value:g}" for value in values]
        met = {True: "yes", False: "**no**", None: ""}[found.met]
        lines.append(f"| {found.case} | {found.unit} | {' | '.join(shown)} | {met} |")
    return "\n".join(lines) + "\n"


def write(results: Results, folder: Path, svg: str) -> list[Path]:
    """lb.json, lb.md and lb.svg in the folder; returns them."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "lb.json": msgspec.json.format(msgspec.json.encode(results), indent=2).decode() + "\n",
        "lb.md": markdown(results),
        "lb.svg": svg,
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    return [folder / name for name in texts]
