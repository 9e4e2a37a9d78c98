"""Replay a trace and check every acknowledged post.

Opens a moment, sends the trace's arrivals at their times whatever comes back, waits until all posts are ready, checks
each of them. With `--generators N` or `--coordinate HOST:PORT --machines K` several processes send, and one check is
made over all of them; `--join HOST:PORT` makes this process a generator of a coordinator. Exit: 0 passed, 1 a promise
broken or stopped by a rule, 2 could not run, 3 void, 130 ended by Ctrl-C or SIGTERM. The first of them ends the
sending, and the report is of what was sent.
"""

import argparse
import asyncio
import random
import signal
import socket
import sys
import uuid
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Final

import aiohttp
import msgspec
import uvloop
from rich.console import Console

from .. import command, outputs
from .. import config as settings
from ..client import Client, token
from ..clock import SystemClock
from ..config import Config
from ..connections import Connections
from ..errors import BenchError
from ..files import sha256
from ..photos import Gallery
from ..prediction import history, replay_option
from ..replay import generator
from ..replay import report as reports
from ..replay.beats import Arrival, rehearsing
from ..replay.coordinator import Coordinator, RunVoid
from ..replay.cpu import read_stack, serves
from ..replay.known import settings_of
from ..replay.messages import Plan
from ..replay.options import STACK_FILE, Address, Machine, arguments
from ..replay.processes import another, coordinating
from ..replay.progress import progress_for
from ..replay.rules import parse
from ..replay.run import Job, Replay, Run
from ..replay.sender import Sender, Senders
from ..replay.table import table
from ..service import Service
from ..traces import trace as traces
from ..traces.synthesis import first_attempts, superpose
from ..traces.trace import TraceError

ENDING: Final = (signal.SIGINT, signal.SIGTERM)  # the second is what a pod's deletion and systemd send
__all__ = ["arguments", "configured", "execute", "joined", "prepared", "run"]


def run(args: argparse.Namespace) -> int:
    """Replay the trace, or join a coordinator."""
    command.open_all_files()
    if args.join:
        if args.trace or args.target:
            raise BenchError("--join takes no trace and no target: both come from the coordinator")
        return uvloop.run(joined(args.join, args.machine, args.generators or 1))
    config, job, plan, origin = prepared(args, settings.load())
    _look_at_outputs(args, job)
    here = args.generators or (0 if args.coordinate else 1)
    print(
        f"replaying {args.trace} ({len(job.rows)} arrivals in {job.rows[-1].t / 1e6:.0f} s, window {job.window_s} s) "
        f"at {', '.join(plan.targets)}",
        flush=True,
    )
    sealed = replay_option.opened(args.prediction, origin.trace_sha256, origin.scale, origin.settings)
    void: str | None = None
    done: Run | None = None
    try:
        done = uvloop.run(execute(job, plan, config, Spread(here, args.machines or 0, args.coordinate)))
    except* RunVoid as errors:
        void = str(command.first(errors))
    if done is None:
        print(f"bench: void: {void}", file=sys.stderr)
        return reports.EXIT_CODES["void"]
    report = reports.build(done, config, origin, plan.targets)
    if sealed:
        report = msgspec.structs.replace(report, prediction=replay_option.scored(sealed, report, origin.trace))
    Console().print(table(report))
    for line in report.examples:
        print(line)
    _write(report, args)
    return report.exit_code


def _look_at_outputs(args: argparse.Namespace, job: Job) -> None:
    """SameFile or WriteError for what cannot be written at the end."""
    course = reports.course_of(args.report) if args.report else None
    read = {"TRACE": args.trace, "--prediction": args.prediction, "the stack's file": job.stack_file}
    read |= {"the history of predictions": history.FILE}
    outputs.check({"--report": args.report, "the course beside --report": course, "--html": args.html}, read)


def _write(report: reports.Report, args: argparse.Namespace) -> None:
    """Write what was asked for, which does not change the verdict."""
    if args.report:
        outputs.tried(partial(reports.write, report, args.report))
    if args.html:
        from ..pages.replayed import write  # noqa: PLC0415 - Bokeh takes a second to import

        outputs.tried(partial(write, report, args.html, args.prediction))


class Spread(msgspec.Struct, frozen=True):
    """Who sends: so many generators here (one alone sends in this process), and those of so many machines that join."""

    here: int
    machines: int
    address: Address | None


def prepared(args: argparse.Namespace, config: Config) -> tuple[Config, Job, Plan, reports.Origin]:
    """What the command line asks for; BenchError for what cannot be done."""
    if not (args.trace and args.target):
        raise BenchError("replay needs a trace and --target URL, or --join HOST:PORT")
    if bool(args.coordinate) != bool(args.machines):
        raise BenchError("--coordinate HOST:PORT and --machines K belong together")
    if not 0 <= args.after < float("inf"):
        raise BenchError(f"--after {args.after:g}: seconds, not negative")
    config = configured(args, config)
    trace = traces.read(args.trace)
    targets = tuple(target.rstrip("/") for target in args.target)
    rows = rehearsing(superpose(first_attempts(trace.rows), args.scale, random.Random(trace.header.seed)))
    if not rows:
        raise TraceError(f"{args.trace}: no arrivals")
    job = Job(
        rows=rows,
        window_s=trace.header.window_s,
        stack_file=_stack_file(args.stack, targets),
        after_s=args.after,
        rules=tuple(parse(text) for text in args.stop_when),
        cleanup=args.cleanup,
    )
    plan = Plan(
        config=msgspec.structs.replace(config, auth_secret="-"),  # noqa: S106 -- blank: it is sent to other machines
        targets=targets,
        obey_uplink=args.uplink == "trace",
        fresh=args.connections == "fresh",
        resume=bool(trace.broken) if args.resume is None else args.resume,
        photo_bytes_max=max(max(row.f, row.b) for row in rows),
    )
    origin = reports.Origin(
        trace=str(args.trace),
        trace_sha256=sha256(args.trace),
        scale=args.scale,
        settings=settings_of(job.stack_file)
        | _settings(args, config)
        | ({"replay.resume": str(plan.resume)} if trace.broken else {}),
        breaks_by=("model" if trace.header.kind == "synthetic" else "recorded") if trace.broken else None,
    )
    return config, job, plan, origin


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


async def joined(address: Address, machine: Machine | None, generators: int) -> int:
    """Be a generator of the coordinator at this address; with several, start the others as processes of this one."""
    name, total = machine or (f"{socket.gethostname()}-{uuid.getnode():x}", generators)
    async with AsyncExitStack() as stack:
        for _ in range(total - 1 if machine is None else 0):
            await stack.enter_async_context(another(address, name, total))
        await generator.join(address, name, total, SystemClock())
    return 0


async def execute(job: Job, plan: Plan, config: Config, spread: Spread) -> Run:
    """Build the senders and the service, then run the job. The phones and the check share no connections."""
    clock = SystemClock()
    now = clock.now()
    arrivals = tuple(
        Arrival(number, row, token(config.auth_secret, row.u, "upload", now)) for number, row in enumerate(job.rows)
    )
    async with AsyncExitStack() as stack:
        ops = await stack.enter_async_context(aiohttp.ClientSession())
        senders: Senders
        if spread.here == 1 and spread.address is None:
            gallery = Gallery(config.photo_seed, plan.photo_bytes_max)
            connections = Connections(config.connections_max, clock, fresh=plan.fresh)
            await stack.enter_async_context(connections)
            client = Client(connections, plan.targets, config, clock, random.Random(), resumes=plan.resume)
            senders = Sender(arrivals, gallery, client, clock, obey_uplink=plan.obey_uplink)
        else:
            made = Coordinator(
                plan, arrivals, clock, local=spread.here, machines=spread.machines, say=partial(print, flush=True)
            )
            senders = await stack.enter_async_context(
                coordinating(made, spread.address or ("127.0.0.1", 0), spread.here)
            )
        replay = Replay(job, senders, config, clock, Service(ops, plan.targets, config, clock))
        with progress_for(Console()) as progress:
            _on_interrupt(replay)
            return await replay.run(progress)


def _on_interrupt(replay: Replay) -> None:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def interrupted() -> None:
        print("bench: interrupted, checking what was sent; a second signal ends at once", file=sys.stderr)
        if task is not None:  # KeyboardInterrupt in a callback of the loop would be logged with its traceback
            for number in ENDING:
                loop.add_signal_handler(number, task.cancel)
        replay.interrupt()

    for number in ENDING:
        loop.add_signal_handler(number, interrupted)


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
    return msgspec.convert(msgspec.to_builtins(config) | {names[one]: changed[one] for one in changed}, Config)
