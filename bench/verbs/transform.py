"""Make another burst of a trace: more users, larger photos, a push of another length.

Open loop and seeded; the window stays, and time is never compressed: reactions take as long as they took. The trace
that is made has first attempts only, and its note says how it was made.
"""

import argparse
import shlex
from pathlib import Path

import msgspec
import numpy as np

from .. import outputs
from ..traces import columns
from ..traces.lines import Header


def arguments(parser: argparse.ArgumentParser) -> None:
    """The traces and the changes."""
    parser.add_argument("trace", metavar="TRACE", type=Path, help="trace file")
    parser.add_argument("out", metavar="OUT", type=Path, help="file to write, usually NAME.jsonl.gz")
    parser.add_argument(
        "--users", type=float, default=1.0, help="factor for the users, as copies shifted by up to 0.25 s"
    )
    parser.add_argument("--bytes", type=float, default=1.0, help="factor for the bytes of photos; the uplinks stay")
    parser.add_argument("--push-s", type=float, help="seconds over which the notification reaches the phones")
    parser.add_argument("--fanout-s", type=float, help="seconds that the trace's push took (default: fitted)")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same bytes (default %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Write the other trace."""
    from ..traces import transformation  # noqa: PLC0415 -- scipy takes a second, and a demo runs a replay without it
    from ..traces.transformation import Change, TransformError  # noqa: PLC0415 -- the same

    if args.seed < 0:
        raise TransformError("--seed is not negative")
    outputs.distinct({"OUT": args.out}, {"TRACE": args.trace})
    change = Change(users=args.users, bytes=args.bytes, push_s=args.push_s, fanout_s=args.fanout_s)
    header, found = columns.read(args.trace)
    try:
        made, fit = transformation.transform(found, change, np.random.default_rng(args.seed))
    except TransformError as error:
        raise TransformError(f"{args.trace}: {error}") from error
    note = f"{command(args)}; {args.trace.name} was: {header.note}"
    written = Header(kind="synthetic", window_s=header.window_s, seed=args.seed, note=note)
    columns.write(args.out, written, made)
    said = {
        "trace": str(args.out),
        "users": made.count,
        "bytes": int(made.f.sum(dtype=np.int64) + made.b.sum(dtype=np.int64)),
        "span_s": round(float(made.t[-1]) / 1e6, 3),
        "fit": fit,
    }
    if args.json:
        print(msgspec.json.encode(said).decode())
        return 0
    print(f"{args.out}: {made.count} arrivals in {said['span_s']:.1f} s, window {header.window_s} s")
    if fit is not None:
        was, distance = fit.arrivals.fanout_s, fit.goodness.distance
        print(
            f"a push of {was:.4g} s was replaced by one of {args.push_s:g} s; the fit of the trace that this relies on:"
        )
        print(f"KS distance {distance:g}, {fit.goodness.sense}")
    return 0


def command(args: argparse.Namespace) -> str:
    """The command that makes this trace of that one, without folders."""
    words = ["python", "-m", "bench", "transform", args.trace.name]
    for name in ("users", "bytes", "push_s", "fanout_s", "seed"):
        value = getattr(args, name)
        if value is not None and value != 1.0:
            words += ["--" + name.replace("_", "-"), f"{value:.12g}"]
    return shlex.join([*words, args.out.name])
