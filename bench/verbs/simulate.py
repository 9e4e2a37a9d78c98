"""Play a trace in virtual time through a fleet, by the project's own rules.

The band of a figure is its 10th, 50th and 90th percentile over the seeds. A sealed prediction is scored by
`replay --prediction`. A fault is KIND[:NUMBER]@SECOND[+SECONDS], of node, zone, redis, store (at a tenth) and scaler.
"""

import argparse
import datetime as dt
from pathlib import Path
from typing import Final

import msgspec

from .. import config as settings
from ..capacity import costs as measured
from ..contests.command import RESULTS
from ..errors import BenchError
from ..prediction import history, sealed
from ..simulation import fleet as fleets
from ..simulation.arrivals import Arrivals, arrivals_of
from ..simulation.axes import axes_of
from ..simulation.faults import parsed
from ..simulation.figures import Band, bands, figures_of
from ..simulation.rules import code_hash
from ..simulation.run import Play, Result
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
        help="measured costs (default %(default)s)",
    )
    parser.add_argument("--seeds", metavar="N", type=int, default=SEEDS, help="played so often (default %(default)s)")
    parser.add_argument("--fault", metavar="FAULT", action="append", default=[], help="as node:1@30+10; repeatable")
    parser.add_argument("--seal", metavar="FILE", type=Path, help="write the prediction, for `replay --prediction`")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Play the trace once for each seed."""
    if args.seeds < 1:
        raise BenchError(f"--seeds {args.seeds}: at least one")
    content = read_bytes(args.trace)
    trace, fleet, costs = traces.read(args.trace), fleets.read(args.fleet), measured.read(args.costs)
    faults = tuple(parsed(text) for text in args.fault)
    arrivals = arrivals_of(first_attempts(trace.rows))
    if not len(arrivals.arrives):
        raise TraceError(f"{args.trace}: no arrivals")
    played: list[dict[str, float]] = []
    result = None
    for seed in range(1, args.seeds + 1):
        play = Play(fleet, costs, arrivals, trace.header.window_s, settings.Config(), seed)
        result = play.play(faults)
        played.append(figures_of(result, fleet.phones.sight_s, seed))
    prediction = sealed.Prediction(
        sealed_at=dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds"),
        trace_sha256=sealed.digest(content),
        fleet=fleet,
        code=code_hash(),
        figures=bands(played),
        costs=sealed.digest(read_bytes(args.costs)),
        faults=tuple(args.fault),
        seeds=args.seeds,
        axes=axes_of(arrivals, fleet, faults),
    )
    if args.seal:
        sealed.seal(args.seal, prediction)
    known = history.validated(prediction.axes, history.read())
    if args.json:
        print(as_json(prediction, known, result))
    else:
        print_human(args, prediction, known, fleet, arrivals)
    return 0


def read_bytes(path: Path) -> bytes:
    """A file's content; BenchError when it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise BenchError(f"{path}: {error.strerror}") from error


def as_json(prediction: sealed.Prediction, known: dict[str, str], last: Result | None) -> str:
    """The prediction, which axes are validated, and the queue of the last seed by the second."""
    course = msgspec.to_builtins(last.seconds) if last else []
    found = msgspec.to_builtins(prediction) | {"validated": known, "course": course}
    return msgspec.json.encode(found).decode()


def print_human(
    args: argparse.Namespace, prediction: sealed.Prediction, known: dict[str, str], fleet: fleets.Fleet, of: Arrivals
) -> None:
    """The figures with their bands, then how far the model was validated."""
    print(f"{args.trace}: {len(of.arrives)} arrivals in {of.arrives[-1]:.0f} s, {prediction.seeds} seeds")
    print(f"{'figure':<26}{'p10':>12}{'p50':>12}{'p90':>12}")
    for name, band in prediction.figures.items():
        if "@" not in name:
            print(line(name, band))
    for name, value in prediction.axes.items():
        print(f"{name}: {value if isinstance(value, str) else f'{value:g}'}: {known[name]}")
    if unused := Settings(fleet.settings).unused:
        print(f"not simulated: {', '.join(unused)}")
    if args.seal:
        print(f"sealed in {args.seal} at {prediction.sealed_at}")


def line(name: str, band: Band) -> str:
    """A figure as one line."""
    return f"{name:<26}{band.p10:>12g}{band.p50:>12g}{band.p90:>12g}"
