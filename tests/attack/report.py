"""The report of trials: a line for each trial when it is judged, a table by attack, and bench/results/attack.json.

A trial counts for each of its attacks; the table shows the worst goodput of an attack's trials. A void trial counts
only as void. Rows of a suite stay until the same suite is run again.
"""

import os
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from tests.attack.catalogue import ATTACKS
from tests.attack.trials import GOODPUT_MIN, Trial
from tests.faults.checker import KINDS

ALL = "all trials"
RESULTS = Path(__file__).resolve().parents[2] / "bench" / "results" / "attack.json"


class Row(msgspec.Struct, kw_only=True):
    """An attack over all its trials, in the form of all bench tables: `ours` is the worst goodput during the attack.

    `row` of the issue's table, 0 when not in the table. `p90_ms` and `shown_max_ms`: [control, during the attack].
    """

    case: str
    unit: str = "honest goodput"
    ours: float = 1.0
    peers: dict[str, float] = {}
    ratio: float | None = None
    aim: float = GOODPUT_MIN
    met: bool = True
    row: int = 0
    store: str = ""
    times: int = 0
    void: int = 0
    broken: dict[str, int] = {}
    claims: list[str] = []
    p90_ms: list[int] = []
    shown_max_ms: list[int] = []
    evidence: str = ""


class Results(msgspec.Struct):
    """The content of the JSON file."""

    machine: dict[str, str | int]
    rows: list[Row]


def rows(trials: Iterable[Trial]) -> list[Row]:
    """A row for each attack and store, and a row for all together."""
    numbers = {attack.name: attack.row for attack in ATTACKS}
    found: dict[str, Row] = {}
    for trial in trials:
        for case in (*trial.attacks, ALL):
            fresh = Row(case=case, row=numbers.get(case, 0), store=trial.rounds[0].store, broken={})
            row = found.setdefault(case, fresh)
            if trial.void:
                row.void += 1
            else:
                _add(row, trial)
    return [row for case, row in found.items() if case != ALL] + [found[ALL]] if found else []


def _add(row: Row, trial: Trial) -> None:
    """Add a trial to the row of one of its attacks."""
    row.times += 1
    for kind in KINDS:
        count = sum(played.verdict.count(kind) for played in trial.rounds if played.verdict)
        if count:
            row.broken[kind] = row.broken.get(kind, 0) + count
    row.claims += [claim for claim in trial.broken if row.case == ALL or claim.startswith(row.case)]
    row.met = row.met and trial.held
    if row.ratio is not None and row.ratio <= trial.ratio:
        return
    row.ratio = round(trial.ratio, 3)
    row.ours = round(trial.beside.good / trial.beside.phones, 3)
    row.peers = {"control": round(trial.control.good / trial.control.phones, 3)}
    row.p90_ms = [trial.control.p90_ms, trial.beside.p90_ms]
    row.shown_max_ms = [trial.control.shown_max_ms, trial.beside.shown_max_ms]
    row.evidence = trial.evidence.get(row.case, "")


def table(found: Sequence[Row]) -> str:
    """The rows as a table for the console, one line for each attack."""
    lines = [("row", "attack", "store", "times", "void", "goodput", "p90 ms", "shown max ms", "promises broken")]
    for row in sorted(found, key=lambda one: (one.row or 99, one.case)):
        said = [f"{count} {kind}" for kind, count in row.broken.items()] + row.claims
        goodput = "" if row.ratio is None else f"{row.peers.get('control', 0):.2f} → {row.ours:.2f}"
        times = [" → ".join(map(str, pair)) for pair in (row.p90_ms, row.shown_max_ms)]
        lines.append(
            (str(row.row or ""), row.case, row.store, str(row.times), str(row.void), goodput, *times, "; ".join(said))
        )
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    shown = ("  ".join(word.ljust(width) for word, width in zip(words, widths, strict=True)) for words in lines)
    return "\n" + "\n".join(each.rstrip() for each in shown)


def saved() -> list[Row]:
    """The rows that the file holds now."""
    return msgspec.json.decode(RESULTS.read_bytes(), type=Results).rows if RESULTS.exists() else []


def write(trials: Sequence[Trial], suite: str) -> None:
    """Write a suite's rows in place of its earlier rows; a single trial replaces only the row of its attack."""
    several = len(trials) > 1
    fresh = [row for row in rows(trials) if several or row.case != ALL]
    fresh = [msgspec.structs.replace(row, case=f"{suite}: {row.case}") for row in fresh]
    names = {row.case for row in fresh}
    kept = [row for row in saved() if row.case not in names and not (several and row.case.startswith(f"{suite}: "))]
    machine: dict[str, str | int] = {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpus": os.cpu_count() or 1,
        "python": platform.python_version(),
    }
    RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(Results(machine, kept + fresh)), indent=2) + b"\n")


def line(trial: Trial) -> str:
    """One trial as text: its seed, its attacks with their evidence, its result."""
    said = [f"{name} ({trial.evidence[name]})" for name in trial.attacks if name in trial.evidence]
    said += [f"VOID {name}: {reason}" for name, reason in trial.void.items()]
    findings = [one for played in trial.rounds if played.verdict for one in played.verdict.findings]
    broken = "".join(f"\n    {one.kind} {one.user}: {one.why}" for one in findings[:40])
    broken += "".join(f"\n    {claim}" for claim in trial.broken)
    word = "void" if trial.void else "held" if trial.held else "BROKEN"
    store = trial.rounds[0].store
    return (
        f"{store} SEED={trial.name}: {word}, goodput {trial.ratio:.2f}; {'; '.join(said)}"
        f"\n    control: {trial.control}\n    beside:  {trial.beside}{broken}"
    )
