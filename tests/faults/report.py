"""The report of rounds: a line for each round when it is judged, a table by fault, and bench/results/faults.json.

A round counts for each of its faults. A void round counts only as void.
"""

import os
import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from tests.faults.checker import KINDS
from tests.faults.rounds import Played

ALL = "all rounds"
PARKED = "parked at once"
RESULTS = Path(__file__).resolve().parents[2] / "bench" / "results" / "faults.json"


class Row(msgspec.Struct, kw_only=True):
    """A fault over all its rounds, in the form of all bench tables: `ours` is the number of findings, the aim is 0."""

    case: str
    unit: str = "promises broken"
    ours: int = 0
    peers: dict[str, float] = {}
    ratio: float | None = None
    aim: int = 0
    met: bool = True
    store: str = ""
    times: int = 0
    void: int = 0
    ok: int = 0
    fail: int = 0
    unknown: int = 0
    recovered: int = 0
    deleted: int = 0
    broken: dict[str, int] = {}
    # Only of suites with phones that resume: what the nodes counted, and what the phones saw.
    resumable: dict[str, int] | msgspec.UnsetType = msgspec.UNSET


class Results(msgspec.Struct):
    """The content of the file; rows of a suite stay until the same suite is run again."""

    machine: dict[str, str | int]
    rows: list[Row]


def rows(rounds: Iterable[Played]) -> list[Row]:
    """A row for each fault and store, and a row for all together."""
    found: dict[str, Row] = {}
    for played in rounds:
        for case in (*played.faults, ALL):
            row = found.setdefault(case, Row(case=case, store=played.store, broken=dict.fromkeys(KINDS, 0)))
            if played.void or played.verdict is None:
                row.void += 1
                continue
            verdict = played.verdict
            row.times += 1
            row.ok, row.fail = row.ok + verdict.ok, row.fail + verdict.fail
            row.unknown, row.recovered = row.unknown + verdict.unknown, row.recovered + verdict.recovered
            row.deleted += verdict.deleted
            for kind in KINDS:
                row.broken[kind] += verdict.count(kind)
            if played.resumable:
                row.resumable = _summed(row.resumable or {}, played.resumable)
            row.ours = sum(row.broken.values())
            row.met = not row.ours
    return [row for case, row in found.items() if case != ALL] + [found[ALL]] if found else []


def _summed(before: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    """The counts together; of what was parked at once, the most."""
    most = max(before.get(PARKED, 0), more.get(PARKED, 0))
    return {**(Counter(before) + Counter(more)), PARKED: most}


def table(found: Sequence[Row]) -> str:
    """The rows as a table for the console."""
    lines = [("fault", "store", "times", "void", "ok", "fail", "unknown", "recovered", "deleted", *KINDS)]
    for row in found:
        counts = (row.times, row.void, row.ok, row.fail, row.unknown, row.recovered, row.deleted)
        broken = (row.broken.get(kind, 0) for kind in KINDS)
        lines.append((row.case, row.store, *map(str, counts), *map(str, broken)))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    shown = [
        [word.ljust(width) for word, width in zip(words, widths[:2], strict=False)]
        + [word.rjust(width) for word, width in zip(words[2:], widths[2:], strict=True)]
        for words in lines
    ]
    return "\n" + "\n".join("  ".join(words) for words in shown)


def saved() -> list[Row]:
    """The rows that the file holds now."""
    return msgspec.json.decode(RESULTS.read_bytes(), type=Results).rows if RESULTS.exists() else []


def write(rounds: Sequence[Played], suite: str) -> None:
    """Write a suite's rows into the file, in place of the suite's earlier rows."""
    fresh = [msgspec.structs.replace(row, case=f"{suite}: {row.case}") for row in rows(rounds)]
    kept = [row for row in saved() if not row.case.startswith(f"{suite}: ")]
    machine: dict[str, str | int] = {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpus": os.cpu_count() or 1,
        "python": platform.python_version(),
    }
    RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(Results(machine, kept + fresh)), indent=2) + b"\n")


def line(played: Played) -> str:
    """One round as text: its seed, its faults with their evidence, its verdict."""
    said = [f"{name} ({played.evidence[name]})" for name in played.faults if name in played.evidence]
    said += [f"VOID {name}: {reason}" for name, reason in played.void.items()]
    verdict = played.verdict
    if verdict is None:
        return f"{played.store} SEED={played.name}: not judged; {'; '.join(said)}"
    counts = f"{verdict.ok} ok, {verdict.fail} fail, {verdict.unknown} unknown, {verdict.recovered} recovered"
    counts += f", {verdict.deleted} deleted"
    counts += "".join(f", {count} {what}" for what, count in played.resumable.items())
    broken = "".join(f"\n    {one.kind} {one.user}: {one.why}" for one in verdict.findings)
    return f"{played.store} SEED={played.name}: {counts}; {'; '.join(said)}{broken}"
