"""Replay a trace and check every acknowledged post.

Opens a moment, sends the trace's arrivals at their times whatever comes back, waits until all posts are ready, checks
each of them. Exit: 0 good, 1 a promise broken or the run void, 2 could not run, 130 ended by Ctrl-C. The first Ctrl-C
ends the sending, and the report is of what was sent.
"""

import argparse
import asyncio
import hashlib
import random
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import aiohttp
import msgspec
import uvloop
from rich.console import Console

from .. import config as settings
from ..client import Client
from ..clock import SystemClock
from ..config import Config
from ..contests import command
from ..photos import Gallery
from ..prediction import scoring
from ..replay import report as reports
from ..replay.cpu import read_stack, serves
from ..replay.known import settings_of
from ..replay.progress import progress_for
from ..replay.run import Job, Replay, Run
from ..replay.table import table
from ..service import Service
from ..traces import trace as traces
from ..traces.synthesis import first_attempts, superpose
from ..traces.trace import TraceError

INTERRUPTED: Final = 130
STACK_FILE: Final = Path(".snapsurge/stack.json")


def arguments(parser: argparse.ArgumentParser) -> None:
    """The trace, where it goes, how it is paced, what is written."""
    parser.add_argument("trace", metavar="TRACE", type=Path, help="trace file")
    parser.add_argument(
        "--target", metavar="URL", action="append", required=True, help="balancer; may be given again, used in turn"
    )
    parser.add_argument(
        "--report", metavar="FILE", type=Path, help="write the report as JSON, and its course as SVG beside it"
    )
    parser.add_argument(
        "--prediction", metavar="FILE", type=Path, help="score this sealed prediction (`simulate --seal`) by the run"
    )
    parser.add_argument("--region", help="region of the moment")
    parser.add_argument("--scale", type=float, default=1.0, help="so many times the arrivals, as jittered copies")
    parser.add_argument("--uplink", choices=("trace", "none"), default="trace", help="pace of the uploads")
    parser.add_argument(
        "--connections",
        choices=("fresh", "reuse"),
        default="fresh",
        help="one per upload as phones have it, or kept alive between uploads as a gateway would (default fresh)",
    )
    parser.add_argument("--attempts", type=int, help="tries of one upload")
    parser.add_argument("--ready-timeout", metavar="S", type=float, help="wait for posts to be ready")
    parser.add_argument(
        "--after", metavar="S", type=float, default=0.0, help="watch queue and workers so long after the last post"
    )
    parser.add_argument("--check-sample", metavar="N", type=int, help="decode all renditions of every Nth post")
    parser.add_argument(
        "--stack", metavar="FILE", type=Path, help=f"stack file, for CPU per tier (default {STACK_FILE} if it fits)"
    )


def run(args: argparse.Namespace) -> int:
    """Replay the trace."""
    config = configured(args, settings.load())
    trace = traces.read(args.trace)
    targets = tuple(target.rstrip("/") for target in args.target)
    rows = superpose(first_attempts(trace.rows), args.scale, random.Random(trace.header.seed))
    if not rows:
        raise TraceError(f"{args.trace}: no arrivals")
    print(
        f"replaying {args.trace} ({trace.header.kind}, {len(rows)} arrivals in {trace.span_s:.0f} s, "
        f"window {trace.header.window_s} s) at {', '.join(targets)}",
        flush=True,
    )
    gallery = Gallery(config.photo_seed, max(max(row.f, row.b) for row in rows))
    job = Job(
        rows=rows,
        window_s=trace.header.window_s,
        obey_uplink=args.uplink == "trace",
        stack_file=_stack_file(args.stack, targets),
        after_s=args.after,
    )
    origin = reports.Origin(
        trace=str(args.trace),
        trace_sha256=hashlib.sha256(args.trace.read_bytes()).hexdigest(),
        scale=args.scale,
        settings=settings_of(job.stack_file) | _settings(args, config),
    )
    sealed = scoring.opened(args.prediction, origin.trace_sha256, origin.scale, origin.settings)
    command.open_all_files()
    done = uvloop.run(execute(job, gallery, config, targets, fresh=args.connections == "fresh"))
    report = reports.build(done, config, origin, targets)
    if sealed:
        report = msgspec.structs.replace(report, prediction=scoring.scored(sealed, report, origin.trace))
    Console().print(table(report))
    for line in report.examples:
        print(line)
    if args.report:
        reports.write(report, args.report)
    if report.interrupted:
        return INTERRUPTED
    return 0 if report.good else 1


def _settings(args: argparse.Namespace, config: Config) -> dict[str, str]:
    """How the replay itself sends, as far as it changes what is measured."""
    return {
        "replay.uplink": args.uplink,
        "replay.connections": args.connections,
        "replay.attempts": str(config.attempts_max),
        "replay.photo_seed": str(config.photo_seed),
    }


def _stack_file(given: Path | None, targets: tuple[str, ...]) -> Path | None:
    if given:
        return given
    stack = read_stack(STACK_FILE)
    return STACK_FILE if stack and serves(stack, targets) else None


async def execute(job: Job, gallery: Gallery, config: Config, targets: Sequence[str], *, fresh: bool) -> Run:
    """Build the client and the service, then run the job. The phones and the check share no connections."""
    clock = SystemClock()
    forever = aiohttp.ClientTimeout(total=None, sock_connect=config.answer_timeout_s)
    async with (
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=config.connections_max, force_close=fresh),
            timeout=forever,
            cookie_jar=aiohttp.DummyCookieJar(),
        ) as phones,
        aiohttp.ClientSession() as ops,
    ):
        client = Client(phones, targets, config, clock, random.Random())
        service = Service(ops, targets, config, clock)
        with progress_for(Console()) as progress:
            made, loop = Replay(job, gallery, config, clock, client, service), asyncio.get_running_loop()

            def interrupted() -> None:
                print("bench: interrupted, checking what was sent; a second Ctrl-C ends at once", file=sys.stderr)
                loop.remove_signal_handler(signal.SIGINT)
                made.interrupt()

            loop.add_signal_handler(signal.SIGINT, interrupted)
            return await made.run(progress)


def configured(args: argparse.Namespace, config: Config) -> Config:
    """The settings, replaced by the options that were given on the command line."""
    given = {
        "region": args.region,
        "attempts_max": args.attempts,
        "ready_timeout_s": args.ready_timeout,
        "check_sample": args.check_sample,
    }
    changed = {name: value for name, value in given.items() if value is not None}
    names = {field.name: field.encode_name for field in msgspec.structs.fields(Config)}
    builtins = msgspec.to_builtins(config) | {names[name]: value for name, value in changed.items()}
    return msgspec.convert(builtins, Config)
