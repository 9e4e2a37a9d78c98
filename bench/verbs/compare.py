"""Compare replays with earlier ones: is the service level worse than it was?

At least three reports a side, of the same trace, scale, machine and settings. The verdict is on what users are
promised: lost, half, doubled and wrongly late pairs, shed and failed share, upload p99, ready p90. Exit: 0 no worse,
1 worse, 2 not comparable, 3 cannot tell or no baseline.
"""

import argparse
from functools import partial
from pathlib import Path

import msgspec
from rich.console import Console

from .. import outputs
from ..comparing import reports
from ..comparing.bootstrap import SEED
from ..comparing.table import table
from ..comparing.verdict import EXIT, compared


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options: reports of the runs, reports of the baseline, seed, output."""
    parser.add_argument("runs", metavar="A", type=Path, nargs="+", help="reports that `bench replay --report` wrote")
    parser.add_argument(
        "--against", metavar="B", type=Path, nargs="*", default=[], help="reports of the baseline; without it, exit 3"
    )
    parser.add_argument("--seed", type=int, default=SEED, help="seed of the bootstrap (default %(default)s)")
    parser.add_argument("--html", metavar="FILE", type=Path, help="write the result as one page to look at")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print whether the runs differ from the baseline; returns the verdict's exit code."""
    given = [*args.runs, *args.against]
    outputs.check({"--html": args.html}, {f"the report {path}": path for path in given})
    ours, baseline = ([(path, reports.read(path)) for path in side] for side in (args.runs, args.against))
    reports.refuse_different([*ours, *baseline])
    found = compared([one for _, one in ours], [one for _, one in baseline], args.seed)
    if args.json:
        print(msgspec.json.encode(found).decode())
    else:
        Console().print(table(found))
    if args.html:
        from ..pages.compared import write  # noqa: PLC0415 - Bokeh takes a second to import

        outputs.tried(partial(write, found, args.html))
    return EXIT[found.verdict]
