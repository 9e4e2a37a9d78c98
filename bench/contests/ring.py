"""`python -m bench.contests.ring`: measures how the balancer places keys on nodes; writes bench/results/ring.json.

It runs `python -m lb.measure` as a program, because bench does not import lb. There is no peer program: the peer column
is a textbook ring with 160 points for each node, as in nginx. `ratio` is the figure itself, `aim` its limit.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from .. import command
from ..peers.started import ROOT
from ..rows import OURS, Row, judged

PEER = "ring, 160 points"
# Figure, unit, description, aim; `moved_max` has an aim where the mean is of enough slots to be reachable.
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
    """The rows of the measured figures, by figure and then by number of nodes."""
    for name, unit, text, aim in FIGURES:
        for found in measured["rows"]:
            values = {OURS: found[name]} | ({PEER: found["ketama_160"]} if name == "share_max" else {})
            yield judged(f"{text}, {found['nodes']} nodes", unit, values, ratio=found[name], at_most=aim)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write; return the exit code."""
    given = command.given("contests.ring", __doc__, "ring.json", arguments)

    def measure(tell: command.Tell) -> None:
        # A program, because bench imports no other package.
        words = [sys.executable, "-m", "lb.measure", *(["--quick"] if given.quick else [])]
        done = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
        for row in table(json.loads(done.stdout)):
            tell(row)

    return command.run(given.out, measure)


if __name__ == "__main__":
    sys.exit(main())
