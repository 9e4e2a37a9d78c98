"""`bench`: what a pair costs in each tier, measured by replaying a burst at a stack of our own.

The figures are CPU time of the processes that `stack.json` names, per accepted pair, as bench reports them. They are
printed and written in the table form that all benches share; nothing in it is typed by hand. The burst's drawing goes
beside them; so that it shows the workers falling too, they stay for seconds here that stay for minutes elsewhere.
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
IMPATIENT: Final = {"SNAPSURGE_PROCESSORS_SCALE_DOWN_S": "15", "SNAPSURGE_PROCESSORS_WARM_HOLD_S": "5"}
AFTER_S: Final = 35.0  # longer than both together, so that the fall is seen


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One figure; `met` follows from `ratio` and `aim`, and all three are empty where nobody is compared with."""

    case: str
    unit: str
    ours: float | None
    peers: dict[str, float] = {}
    ratio: float | None = None
    aim: float | None = None
    met: bool | None = None


class Results(msgspec.Struct, frozen=True):
    """What a bench writes."""

    machine: dict[str, str | int]
    rows: tuple[Row, ...]


def machine() -> dict[str, str | int]:
    """Where the figures come from."""
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpus": os.cpu_count() or 0,
        "memory_mib": psutil.virtual_memory().total // 2**20,
        "python": platform.python_version(),
    }


def rows(report: Report, store: str) -> tuple[Row, ...]:
    """A row for each tier, in the order that a pair meets them."""
    cpu = report.cpu_ms_per_pair
    return tuple(Row(case=f"{name}, {store} store", unit=UNIT, ours=cpu.get(tier)) for tier, name in TIERS.items())


def table(results: Results) -> Table:
    """The rows for people."""
    shown = Table("case", "unit", "ours", title="what a pair costs")
    for row in results.rows:
        shown.add_row(row.case, row.unit, "-" if row.ours is None else f"{row.ours:.2f}")
    return shown


async def bench(
    options: Options, folder: Path, config: Config, *, trace: Path, arrivals: int | None, fresh: bool
) -> int:
    """Replay the trace or its first `arrivals`, print, write; bench's exit code. A broken run leaves no results."""
    console = Console(highlight=False, soft_wrap=True)

    def show(text: str) -> None:
        console.print(text, markup=False)

    report = folder / "report.json"
    half_s(trace)  # an unreadable trace is said before anything starts
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
    """What a store is called in a table: `file`, `minio`, or the scheme of its address."""
    return store.partition(":")[0]
