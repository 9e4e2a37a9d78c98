"""`make bench`: measures what a pair costs in every tier, by phase, on a file store and on MinIO.

For each kind of store one process of each tier is started. Pairs of several sizes are sent, each over a new connection
in pieces as an uplink delivers them, while no worker runs; then a worker renders them, then their pictures are read.
CPU is the kernel's count of each process over each of these steps (`schedstat`), without what it uses when idle, and a
line `fixed + per MB` is fitted to the sizes. Uploads one at a time give the spread; uploads that wait, the memory.
The result is `bench/results/costs.json`, which `plan` and `simulate` read.
"""

import argparse
import datetime as dt
import sys
from collections.abc import Sequence
from typing import Final

import uvloop

from .. import command
from ..capacity.costs import Costs, Line, checked
from ..files import write_json
from ..rows import machine
from ..simulation.code import PROGRAMS, code_hash
from .assembled import costs
from .run import FULL, QUICK, Effort, measure

KINDS: Final = ("file", "minio")


def say(text: str) -> None:
    """One line of progress."""
    print(f"bench: {text}", flush=True)


async def measured(effort: Effort, note: str) -> Costs:
    """The costs on every kind of store."""
    began = dt.datetime.now(dt.UTC)
    found = {kind: await measure(kind, effort, say) for kind in KINDS}
    stamp = began.isoformat(timespec="seconds").replace("+00:00", "Z")
    return checked(costs(found, measured_at=stamp, machine=machine(), code=code_hash(PROGRAMS), note=note), "this run")


def table(found: Costs) -> list[str]:
    """What was measured, as lines for the terminal."""
    lines = [f"{'CPU ms of a pair':<26} {'fixed':>8} {'per MB':>8} {'of 2 x 200 KB':>14}"]
    tiers = {"balancer": found.lb, "balancer, TLS": found.lb_tls, "Redis": found.redis}
    for kind, stores in found.stores.items():
        tiers |= {f"node, {kind}": stores.node, f"worker, {kind}": stores.worker}
        tiers |= {"MinIO": stores.store} if stores.store else {}
    for name, tier in tiers.items():
        phases: dict[str, Line | None] = {"upload": tier.upload, "drain": tier.drain}
        for phase, line in phases.items():
            if line and line.ms(1e6):
                lines.append(
                    f"{name + ', ' + phase:<26} {line.fixed_ms:>8.3f} {line.mb_ms:>8.3f} {line.ms(4e5):>14.3f}"
                )
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; the exit code."""
    parser = command.Parser(prog="python -m bench.costing", description=__doc__, allow_abbrev=False)
    command.options(parser, "costs.json")
    parser.add_argument("--note", default="", help="what a reader must know of this run")
    given = parser.parse_args(arguments)
    command.open_all_files()
    return command.told(given.out, lambda: _run(given))


def _run(given: argparse.Namespace) -> None:
    found = uvloop.run(measured(QUICK if given.quick else FULL, given.note))
    print("\n".join(table(found)))
    write_json(given.out, found)
    say(f"written to {given.out}")


if __name__ == "__main__":
    sys.exit(main())
