"""`python -m bench.contests.ring`: the balancer's placement of keys, measured by itself; bench/results/ring.json.

It runs `python -m lb.measure` as a program, for the bench is a black box. There is no peer program to run: the peer
column is a textbook ring with 160 points a node, as nginx has it. `ratio` is the figure itself, `aim` its limit.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from ..peers.started import ROOT
from ..rows import OURS, Row, judged
from . import command

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


def table(measured: dict[str, Any]) -> Iterator[Row]:
    """The rows of what was measured, by figure and then number of nodes."""
    for name, unit, text, aim in FIGURES:
        for found in measured["rows"]:
            values = {OURS: found[name]} | ({PEER: found["ketama_160"]} if name == "share_max" else {})
            yield judged(f"{text}, {found['nodes']} nodes", unit, values, ratio=found[name], at_most=aim)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write; the exit code."""
    given = command.given("ring", __doc__, "ring.json", arguments)

    def measure(tell: command.Tell) -> None:
        words = [sys.executable, "-m", "lb.measure", *(["--quick"] if given.quick else [])]
        done = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
        for row in table(json.loads(done.stdout)):
            tell(row)

    return command.run(given.out, measure)


if __name__ == "__main__":
    sys.exit(main())
