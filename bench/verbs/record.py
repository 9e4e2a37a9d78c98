"""Make a trace of what balancers recorded.

The rows are those of one moment that balancers wrote to SNAPSURGE_LB_TRACE; give all balancers the same
SNAPSURGE_LB_TRACE_SECRET, so that a user is one user.
"""

import argparse
from pathlib import Path
from typing import Final

import msgspec

from .. import outputs
from ..traces import record as records
from ..traces import trace as traces

PATH: Final = "/v1/moments/[^/]+/posts"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The moment, the rows, the file."""
    parser.add_argument(
        "--fires-at", metavar="TIME", required=True, help="time at which the moment fires, as in 2026-01-01T12:00:00Z"
    )
    parser.add_argument("--window-s", type=int, default=120, help="seconds until posts are late (default %(default)s)")
    parser.add_argument("--span-s", type=float, default=600.0, help="rows later than this are left out (%(default)s)")
    parser.add_argument("--path", metavar="REGEX", default=PATH, help="paths of uploads (default %(default)s)")
    parser.add_argument("--note", default="recorded by balancers", help="how the trace was made")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("rows", metavar="ROWS", type=Path, nargs="+", help="files that balancers wrote")
    parser.add_argument("out", metavar="OUT", type=Path, help="file to write, usually NAME.jsonl.gz")


def run(args: argparse.Namespace) -> int:
    """Make a trace of the balancers' recorded rows and write it."""
    outputs.distinct({"OUT": args.out}, {f"the rows {path}": path for path in args.rows})
    fires_us = records.fires_at_us(args.fires_at)
    shape = {"window_s": args.window_s, "span_s": args.span_s, "path": args.path, "note": args.note}
    trace = records.record(records.read(args.rows), fires_us=fires_us, **shape)
    traces.write(args.out, trace)
    users = len({row.u for row in trace.rows})
    if args.json:
        said = {"trace": str(args.out), "rows": len(trace.rows), "users": users, "span_s": trace.span_s}
        print(msgspec.json.encode(said).decode())
        return 0
    print(f"{args.out}: {len(trace.rows)} arrivals of {users} users in {trace.span_s:.1f} s")
    return 0
