"""Describe a trace: its peaks, its bytes, its uploads in flight, and the burst that `synth` would make of it.

The fitted parameters are options of `synth`, with their standard errors and with the Kolmogorov-Smirnov distance of the
fit. A trace that "does not fit" is not one burst after one even push.
"""

import argparse
from pathlib import Path

import msgspec

from ..files import sha256
from ..traces import columns


def arguments(parser: argparse.ArgumentParser) -> None:
    """The trace, and what is known of it."""
    parser.add_argument("trace", metavar="TRACE", type=Path, help="trace file")
    parser.add_argument(
        "--fanout-s", type=float, help="seconds that the push took, if they are known (default: fitted)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print what a trace contains: arrivals, attempts, bytes; as text or JSON."""
    from ..traces import wording  # noqa: PLC0415 -- scipy takes a second, and a demo runs a replay without it
    from ..traces.description import describe  # noqa: PLC0415 -- the same

    header, found = columns.read(args.trace)
    description = describe(str(args.trace), sha256(args.trace), header, found, args.fanout_s)
    if args.json:
        print(msgspec.json.encode(description).decode())
    else:
        print("\n".join(wording.lines(description)))
    return 0
