"""`python -m bench.ring`: the balancer's placement of keys, measured by itself, as a table and bench/results/ring.json.

It runs `python -m lb.measure` as a program, for the bench is a black box. There is no peer program to run: the peer
column is a textbook ring with 160 points a node, as nginx has it. `ratio` is the figure itself, `aim` its limit.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PEER = "ring, 160 points"
# Figure, unit, what it says, aim; `moved_max` has one where a mean has slots enough to be met.
FIGURES: tuple[tuple[str, str, str, float | None], ...] = (
    ("share_max", "max/mean", "key share", 1.05),
    ("survivors_max", "max/mean", "key share after one left", 1.05),
    ("moved_wrongly", "keys", "moved though not the leaver's", 0.0),
    ("moved_max", "max/mean", "the leaver's keys over the survivors", 1.10),
    ("pick_us", "µs", "pick: key to home", 1.5),
    ("place_us", "µs", "place: with health and bound", None),
    ("build_ms", "ms CPU", "ring from nothing, in a thread", None),
    ("join_ms", "ms CPU", "ring after one joined, in a thread", None),
    ("leave_ms", "ms CPU", "ring after one left, in a thread", None),
    ("stall_ms", "ms", "stall of the loop while one leaves", 5.0),
    ("stall_build_ms", "ms", "stall of the loop during a ring from nothing", 5.0),
    ("stall_idle_ms", "ms", "stall of an idle loop, to compare", None),
)


def table(measured: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of what was measured, by figure and then number of nodes."""
    rows = []
    for name, unit, text, aim in FIGURES:
        for row in measured["rows"]:
            value = round(row[name], 4)
            peers = {PEER: round(row["ketama_160"], 4)} if name == "share_max" else {}
            met = None if aim is None else value <= aim
            case = f"{text}, {row['nodes']} nodes"
            rows.append(
                {"case": case, "unit": unit, "ours": value, "peers": peers, "ratio": value, "aim": aim, "met": met}
            )
    return rows


def machine() -> dict[str, Any]:
    """Where it was measured."""
    return {"cpus": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()}


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m bench.ring", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, the same rows")
    parser.add_argument("--out", type=Path, default=RESULTS / "ring.json", help="where the table goes (%(default)s)")
    given = parser.parse_args(arguments)
    command = [sys.executable, "-m", "lb.measure", *(["--quick"] if given.quick else [])]
    done = subprocess.run(command, cwd=Path(__file__).parent.parent, capture_output=True, text=True, check=True)
    rows = table(json.loads(done.stdout))
    given.out.parent.mkdir(exist_ok=True)
    given.out.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1, ensure_ascii=False) + "\n")
    for row in rows:
        mark = {None: "", True: "met", False: "MISSED"}[row["met"]]
        aim = "" if row["aim"] is None else f"≤ {row['aim']}"
        print(f"{row['case']:<52} {row['ours']:>10} {row['unit']:<9} {aim:>7} {mark}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
