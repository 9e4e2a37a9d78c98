"""Send a burst once for each fault at its peak: what was lost, which metric saw it, how long it took.

Without `--stack` it starts a stack of its own that can have every fault; at a given one, faults that it cannot have are
told. The burst is sent without a fault first. Exit: 0 every fault was seen, recovered from and cost no pair; 1 not so;
2 could not run; 3 a fault did not happen or is not possible here.
"""

import argparse
import asyncio
import contextlib
import signal
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import aiohttp
import msgspec
import uvloop
from rich.console import Console

from .. import config as settings
from .. import outputs
from ..clock import SystemClock
from ..errors import BenchError
from ..rehearsal.course import Rehearsal
from ..rehearsal.faults import FAULTS, Fault
from ..rehearsal.matrix import Matrix
from ..rehearsal.stack import Place, own_stack
from ..rehearsal.table import lines, table
from ..replay.course import by_second
from ..service import Service
from ..traces import trace as traces

NAMES = tuple(fault.name for fault in FAULTS)


def arguments(parser: argparse.ArgumentParser) -> None:
    """The trace, the faults, the stack."""
    parser.add_argument("trace", metavar="TRACE", type=Path, help="trace file")
    parser.add_argument("--matrix", action="store_true", help="every fault, one after another")
    parser.add_argument(
        "--fault", metavar="NAME", choices=NAMES, nargs="+", action="extend", default=[], help=f"of {', '.join(NAMES)}"
    )
    parser.add_argument("--stack", metavar="FILE", type=Path, help="stack.json of a stack that runs here already")
    parser.add_argument("--html", metavar="FILE", type=Path, help="write the result as one page to look at")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Replay the trace once for each fault and print the matrix; returns the exit code."""
    if not args.matrix and not args.fault:
        raise BenchError("say --matrix for every fault, or --fault NAME")
    outputs.check({"--html": args.html}, {"TRACE": args.trace, "--stack": args.stack})
    faults = [fault for fault in FAULTS if args.matrix or fault.name in args.fault]
    with tempfile.TemporaryDirectory(prefix="bench-rehearse-") as folder:
        matrix = uvloop.run(rehearse(args.trace.resolve(), faults, args.stack, Path(folder)))
    if args.json:
        print(msgspec.json.encode(matrix).decode())
    else:
        for line in lines(matrix):
            print(line)
        Console().print(table(matrix))
    if args.html:
        from ..pages.rehearsed import write  # noqa: PLC0415 - Bokeh takes a second to import

        outputs.tried(partial(write, matrix, args.html))
    return matrix.exit_code


async def rehearse(trace: Path, faults: Sequence[Fault], stack: Path | None, folder: Path) -> Matrix:
    """The matrix of these faults; progress goes to standard error."""
    config, clock, own = settings.load(), SystemClock(), asyncio.current_task()
    if own:  # SIGTERM must not leave a stack, or a stopped process of a given one, behind
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, own.cancel)
    arrivals = by_second(traces.read(trace).rows)
    if not arrivals:
        raise traces.TraceError(f"{trace}: no arrivals")
    peak_s = float(arrivals.index(max(arrivals)))
    async with contextlib.AsyncExitStack() as opened:
        say(f"{len(faults) + 1} bursts" + ("" if stack else "; starting a stack"))
        place = Place(stack) if stack else await opened.enter_async_context(own_stack(folder))
        targets = [one.url for one in place.record().balancers]
        session = await opened.enter_async_context(aiohttp.ClientSession())
        service = Service(session, targets, config, clock)
        made = Rehearsal(trace, peak_s, place, folder, session, service, clock, say)
        say(f"1 of {len(faults) + 1}: the burst without a fault")
        trials = [await made.calm()]
        for number, fault in enumerate(faults, 2):
            say(f"{number} of {len(faults) + 1}: {fault.name}")
            trials.append(await made.trial(fault))
    return Matrix(trace=trace.name, peak_s=peak_s, trials=tuple(trials))


def say(text: str) -> None:
    """Tell a person how far it is; standard output is for the result."""
    print(f"rehearse: {text}", file=sys.stderr, flush=True)
