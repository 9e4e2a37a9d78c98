"""`python -m bench`: make a synthetic or a recorded trace, replay a trace, or compare our balancer with its peers.

The composition root: it reads arguments and settings, builds the parts, runs them, and turns the report into an exit
code: 0 when every promise was kept, 1 when a promise was broken or the run is void, 2 when the run was not possible,
130 when Ctrl-C ended it. The first Ctrl-C during a replay ends the sending, and the report is of what was sent.
"""

import argparse
import asyncio
import random
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

if __name__ == "__main__":  # Ctrl-C during the imports, which take a second, ends the process without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import aiohttp
import msgspec
import uvloop
from rich.console import Console

from . import config as settings
from . import options
from .client import Client
from .clock import SystemClock
from .config import Config, ConfigError
from .contests import balancers as contest
from .contests import command
from .photos import Gallery
from .replay import report as reports
from .replay.cpu import read_stack, serves
from .replay.progress import progress_for
from .replay.run import Job, Replay, Run
from .replay.table import table
from .service import Service, ServiceError
from .traces import record as records
from .traces import trace as traces
from .traces.plan import PlanError, first_attempts, superpose, synthesize
from .traces.trace import Header, Trace, TraceError

INTERRUPTED: Final = 130


def synth(args: argparse.Namespace) -> int:
    """Write a synthetic trace."""
    note = args.note or options.synth_command(args)
    header = Header(kind="synthetic", window_s=args.window_s, seed=args.seed, note=note)
    shape = options.shape(args)
    trace = Trace(header, synthesize(shape, random.Random(args.seed)))
    traces.write(args.out, trace)
    print(f"{args.out}: {len(trace.rows)} arrivals in {trace.span_s:.1f} s, window {header.window_s} s")
    return 0


def record(args: argparse.Namespace) -> int:
    """Convert the balancers' recordings into a trace."""
    fires_us = records.fires_at_us(args.fires_at)
    shape = {"window_s": args.window_s, "span_s": args.span_s, "path": args.path, "note": args.note}
    trace = records.record(records.read(args.rows), fires_us=fires_us, **shape)
    traces.write(args.out, trace)
    users = len({row.u for row in trace.rows})
    print(f"{args.out}: {len(trace.rows)} arrivals of {users} users in {trace.span_s:.1f} s")
    return 0


def replay(args: argparse.Namespace, config: Config) -> int:
    """Replay a trace and return the exit code."""
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
    command.open_all_files()
    run = uvloop.run(execute(job, gallery, config, targets, fresh=args.connections == "fresh"))
    report = reports.build(run, config, str(args.trace), targets)
    Console().print(table(report))
    for line in report.examples:
        print(line)
    if args.report:
        reports.write(report, args.report)
    if report.interrupted:
        return INTERRUPTED
    return 0 if report.good else 1


def _stack_file(given: Path | None, targets: tuple[str, ...]) -> Path | None:
    if given:
        return given
    stack = read_stack(options.STACK_FILE)
    return options.STACK_FILE if stack and serves(stack, targets) else None


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


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return the exit code."""
    code = 2
    try:
        args = options.parser().parse_args(argv)
        if args.command == "lb":
            return contest.run(args.out, quick=args.quick)
        config = settings.load()
        if args.command == "replay":
            return replay(args, options.configured(args, config))
        return {"synth": synth, "record": record}[args.command](args)
    except* (asyncio.CancelledError, KeyboardInterrupt):
        code = INTERRUPTED
    except* (
        ValueError,
        ConfigError,
        TraceError,
        PlanError,
        ServiceError,
        msgspec.ValidationError,
    ) as errors:
        print(f"bench: {command.first(errors)}", file=sys.stderr)
    return code


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        sys.exit(main())
    finally:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `… | head`: the last output is lost without a traceback.
