"""`bench`: measures the CPU cost of a pair in each tier by replaying a burst against a stack of our own.

The figures are the CPU time of the processes in `stack.json` per accepted pair, as bench reports it. They are printed
and written in the table format of all benches, together with a drawing of the burst.
"""

import os
import platform
from pathlib import Path
from typing import Final

import msgspec
import psutil
from rich.console import Console
from rich.table import Table

from . import servers
from .config import Config
from .local import running
from .plan import Options
from .replay import Report, half_s, read_report, replaying, shortened

RESULTS: Final = servers.ROOT / "bench" / "results" / "pipeline.json"
TIERS: Final = {"lb": "balancer", "node": "node", "worker": "worker"}
UNIT: Final = "CPU ms per pair"
DRAWING: Final = RESULTS.with_name("burst.svg")
# Workers stop after seconds instead of minutes, so that the drawing also shows their number going down.
IMPATIENT: Final = {"SNAPSURGE_PROCESSORS_SCALE_DOWN_S": "15", "SNAPSURGE_PROCESSORS_WARM_HOLD_S": "5"}
AFTER_S: Final = 35.0  # Longer than both together, so that bench still runs when the workers stop.


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One figure; `met` follows from `ratio` and `aim`; all three are None when there is no peer to compare with."""

    case: str
    unit: str
    ours: float | None
    peers: dict[str, float] = {}
    ratio: float | None = None
    aim: float | None = None
    met: bool | None = None


class Results(msgspec.Struct, frozen=True):
    """The results file of a bench: the machine and the figures."""

    machine: dict[str, str | int]
    rows: tuple[Row, ...]


def machine() -> dict[str, str | int]:
    """The machine that the figures were measured on."""
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpus": os.cpu_count() or 0,
        "memory_mib": psutil.virtual_memory().total // 2**20,
        "python": platform.python_version(),
    }


def rows(report: Report, store: str) -> tuple[Row, ...]:
    """One row for each tier, in the order in which a pair passes the tiers."""
    cpu = report.cpu_ms_per_pair
    return tuple(Row(case=f"{name}, {store} store", unit=UNIT, ours=cpu.get(tier)) for tier, name in TIERS.items())


def table(results: Results) -> Table:
    """The rows as a table for the terminal."""
    shown = Table("case", "unit", "ours", title="what a pair costs")
    for row in results.rows:
        shown.add_row(row.case, row.unit, "-" if row.ours is None else f"{row.ours:.2f}")
    return shown


async def bench(
    options: Options, folder: Path, config: Config, *, trace: Path, arrivals: int | None, fresh: bool
) -> int:
    """Replay the trace or its first `arrivals`, print and write the figures; bench's exit code.

    A failed run writes no results.
    """
    console = Console(highlight=False, soft_wrap=True)

    def show(text: str) -> None:
        console.print(text, markup=False)

    report = folder / "report.json"
    half_s(trace)  # Report an unreadable trace before anything starts.
    show(f"bench: starting the stack (state in {folder})")
    say = lambda text: show(f"bench: {text}")  # noqa: E731 - one line for two words
    async with running(options, folder, config, say=say, fresh=fresh, settings=IMPATIENT) as local:
        sent = shortened(trace, arrivals, local.state / "quick.jsonl.gz") if arrivals else trace
        async with replaying(local, sent, report, after_s=AFTER_S) as replay:
            code = await replay.follow(show)
        found = read_report(report)
        show("bench: draining the stack")
    results = Results(machine(), rows(found, kind_of(options.store)))
    console.print(table(results))
    if code == 0:
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=2) + b"\n")
        DRAWING.write_text(report.with_suffix(".svg").read_text())
        show(f"bench: written to {RESULTS} and {DRAWING}")
    return code


def kind_of(store: str) -> str:
    """The name of a store in the table: `file`, `minio`, or the scheme of its address."""
    return store.partition(":")[0]
