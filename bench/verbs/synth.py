"""Make a synthetic burst.

The same options and the same seed make the same file, byte for byte.
"""

import argparse
import random
import shlex
from pathlib import Path
from typing import Final

import msgspec

from ..traces import trace as traces
from ..traces.synthesis import Shape, synthesize
from ..traces.trace import Header, Trace

OPTIONS: Final = (  # field of Shape, kind, meaning
    ("posters", int, "users who post, once each"),
    ("median_s", float, "median of the log-normal reaction to the notification"),
    ("sigma", float, "sigma of that reaction"),
    ("capture_s", float, "seconds to take both photos, give or take a half"),
    ("fanout_s", float, "seconds over which the notification reaches the phones"),
    ("photo_bytes", int, "median size of one photo, log-normal"),
    ("photo_sigma", float, "sigma of that size"),
    ("photo_bytes_min", int, "least size"),
    ("photo_bytes_max", int, "greatest size"),
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """The shape of the burst, its seed, the file."""
    defaults = {field.name: field.default for field in msgspec.structs.fields(Shape)}
    for name, kind, meaning in OPTIONS:
        option = "--" + name.replace("_", "-")
        if name == "posters":
            parser.add_argument(option, type=kind, required=True, help=meaning)
        else:
            parser.add_argument(option, type=kind, default=defaults[name], help=f"{meaning} (default %(default)s)")
    parser.add_argument("--span-s", type=float, help="nobody posts later than this after the moment")
    parser.add_argument("--window-s", type=int, default=120, help="seconds until posts are late (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same bytes (default %(default)s)")
    parser.add_argument("--note", help="how the trace was made (default: this command)")
    parser.add_argument("out", metavar="OUT", type=Path, help="file to write, by custom NAME.jsonl.gz")


def run(args: argparse.Namespace) -> int:
    """Write the trace."""
    header = Header(kind="synthetic", window_s=args.window_s, seed=args.seed, note=args.note or command(args))
    trace = Trace(header, synthesize(shape(args), random.Random(args.seed)))
    traces.write(args.out, trace)
    print(f"{args.out}: {len(trace.rows)} arrivals in {trace.span_s:.1f} s, window {header.window_s} s")
    return 0


def shape(args: argparse.Namespace) -> Shape:
    """The shape of the burst that the options describe; ValidationError when a parameter is out of range."""
    asked = {name: getattr(args, name) for name, _, _ in OPTIONS}
    return msgspec.convert(asked | {"span_s": args.span_s}, Shape)


def command(args: argparse.Namespace) -> str:
    """The command that makes this trace, with every option and without the folder of the output file."""
    words = ["python", "-m", "bench", "synth"]
    for name in (*(name for name, _, _ in OPTIONS), "span_s", "window_s", "seed"):
        if getattr(args, name) is not None:
            words += ["--" + name.replace("_", "-"), str(getattr(args, name))]
    return shlex.join([*words, args.out.name])
