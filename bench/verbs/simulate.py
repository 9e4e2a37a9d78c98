"""Play a trace in virtual time through a fleet, by the project's own rules.

The band of a figure is its 10th, 50th and 90th percentile over the seeds. A sealed prediction is scored by
`replay --prediction`. A fault is KIND[:NUMBER]@SECOND[+SECONDS], of node, zone, redis, store (at a tenth) and scaler.
"""

import argparse
import datetime as dt
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from .. import outputs
from ..capacity import costs as measured
from ..command import RESULTS
from ..errors import BenchError
from ..files import sha256
from ..prediction import history, sealed
from ..replay.beats import rehearsing
from ..simulation import fleet as fleets
from ..simulation.bands import Band, bands
from ..simulation.code import code_hash
from ..simulation.faults import parsed
from ..simulation.settings import Settings
from ..traces import trace as traces
from ..traces.synthesis import first_attempts
from ..traces.trace import TraceError

SEEDS: Final = 30


def arguments(parser: argparse.ArgumentParser) -> None:
    """The trace, the fleet, what breaks, what is written."""
    parser.add_argument("trace", metavar="TRACE", type=Path, help="trace file")
    parser.add_argument("--fleet", metavar="FILE", type=Path, required=True, help="machines and settings, as JSON")
    parser.add_argument(
        "--costs",
        metavar="FILE",
        type=Path,
        default=RESULTS / "costs.json",
        help="costs that `make bench` measured (default %(default)s)",
    )
    parser.add_argument(
        "--seeds", metavar="N", type=int, default=SEEDS, help="number of simulated runs (default %(default)s)"
    )
    parser.add_argument(
        "--fault", metavar="FAULT", action="append", default=[], help="such as node:1@30+10; may be given again"
    )
    parser.add_argument("--seal", metavar="FILE", type=Path, help="write the prediction, for `replay --prediction`")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Play the trace once for each seed."""
    if args.seeds < 1:
        raise BenchError(f"--seeds {args.seeds}: at least one")
    outputs.check({"--seal": args.seal}, {"TRACE": args.trace, "--fleet": args.fleet, "--costs": args.costs})
    trace, fleet, costs = traces.read(args.trace), fleets.read(args.fleet), measured.read(args.costs)
    faults = tuple(parsed(text) for text in args.fault)
    rows = rehearsing(first_attempts(trace.rows))
    if not rows:
        raise TraceError(f"{args.trace}: no arrivals")
    if trace.broken:
        print(f"not simulated: breaks of {trace.broken} uploads, which are whole here", file=sys.stderr)
    # Compiled code takes seconds to load, which no other verb should wait for.
    from ..simulation.played import played  # noqa: PLC0415 - see above

    found = played(rows, trace.header.window_s, fleet, costs, faults, args.seeds)
    if costs.lines_only(fleet.store):
        print(f"{args.costs}: {measured.LINES_ONLY}", file=sys.stderr)
    prediction = sealed.Prediction(
        sealed_at=dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds"),
        trace_sha256=sha256(args.trace),
        fleet=fleet,
        code=code_hash(),
        figures=bands(found.figures),
        costs=sha256(args.costs),
        faults=tuple(args.fault),
        seeds=args.seeds,
        axes=found.axes,
    )
    if args.seal:
        sealed.seal(args.seal, prediction)
    known = history.validated(prediction.axes, history.read())
    if args.json:
        print(as_json(prediction, known, found.course))
    else:
        print_human(args, prediction, known)
    return 0


def as_json(prediction: sealed.Prediction, known: dict[str, str], course: Sequence[msgspec.Struct]) -> str:
    """The prediction, which axes are validated, and the queue of the last seed by the second."""
    found = msgspec.to_builtins(prediction) | {"validated": known, "course": msgspec.to_builtins(course)}
    return msgspec.json.encode(found).decode()


def print_human(args: argparse.Namespace, prediction: sealed.Prediction, known: dict[str, str]) -> None:
    """The figures with their bands, then how far the model was validated."""
    print(f"{args.trace}: {prediction.seeds} seeds")
    print(f"{'figure':<26}{'p10':>12}{'p50':>12}{'p90':>12}")
    for name, band in prediction.figures.items():
        if "@" not in name:
            print(line(name, band))
    for name, value in prediction.axes.items():
        print(f"{name} {value if isinstance(value, str) else f'{value:g}'}: {known[name]}")
    if unused := Settings(prediction.fleet.settings).unused:
        print(f"not simulated: {', '.join(unused)}")
    if args.seal:
        print(f"sealed in {args.seal} at {prediction.sealed_at}")


def line(name: str, band: Band) -> str:
    """A figure as one line."""
    return f"{name:<26}{band.p10:>12g}{band.p50:>12g}{band.p90:>12g}"
