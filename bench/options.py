"""The command line: its options, and how they become the shape of a burst or replace settings."""

import argparse
import shlex
from pathlib import Path
from typing import Final

import msgspec

from . import config as settings
from .config import Config
from .contests.command import options as table_options
from .traces.plan import Shape

PATH: Final = "/v1/moments/[^/]+/posts"
STACK_FILE: Final = Path(".snapsurge/stack.json")
SYNTH: Final = (  # field of Shape (or of the header), kind, meaning
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


def parser() -> argparse.ArgumentParser:
    """The parser of the command line, with all subcommands."""
    top = argparse.ArgumentParser(
        prog="python -m bench",
        description="Bursts as traces, and their replay at a running service, checked for loss.",
        epilog="Settings, from the environment:\n" + settings.table(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = top.add_subparsers(dest="command", required=True)
    _add_synth(
        commands.add_parser(
            "synth", help="make a synthetic burst", description="Make a synthetic burst.", allow_abbrev=False
        )
    )
    _add_record(
        commands.add_parser(
            "record",
            help="make a trace of what balancers recorded",
            description="Make a trace of one moment from the rows that balancers wrote to SNAPSURGE_LB_TRACE; give all "
            "balancers the same SNAPSURGE_LB_TRACE_SECRET, so that a user is one user.",
            allow_abbrev=False,
        )
    )
    _add_replay(
        commands.add_parser(
            "replay",
            help="replay a trace and check every acknowledged post",
            description="Open a moment, send the trace's arrivals at their times whatever comes back, wait until all "
            "posts are ready, check each of them. Exit: 0 good, 1 a promise broken or the run void, 2 could not run.",
            allow_abbrev=False,
        )
    )
    contest = commands.add_parser(
        "lb", help="our balancer beside HAProxy and nginx, as ratios of one run", allow_abbrev=False
    )
    table_options(contest, "lb.json")
    return top


def _add_synth(command: argparse.ArgumentParser) -> None:
    defaults = {field.name: field.default for field in msgspec.structs.fields(Shape)}
    for name, kind, meaning in SYNTH:
        option = "--" + name.replace("_", "-")
        if name == "posters":
            command.add_argument(option, type=kind, required=True, help=meaning)
        else:
            command.add_argument(option, type=kind, default=defaults[name], help=f"{meaning} (default %(default)s)")
    command.add_argument("--span-s", type=float, help="nobody posts later than this after the moment")
    command.add_argument("--window-s", type=int, default=120, help="seconds until posts are late (default %(default)s)")
    command.add_argument("--seed", type=int, default=1, help="same seed, same bytes (default %(default)s)")
    command.add_argument("--note", help="how the trace was made (default: this command)")
    command.add_argument("out", metavar="OUT", type=Path, help="file to write, by custom NAME.jsonl.gz")


def _add_record(command: argparse.ArgumentParser) -> None:
    command.add_argument("--fires-at", metavar="TIME", required=True, help="of the moment, as in 2026-01-01T12:00:00Z")
    command.add_argument("--window-s", type=int, default=120, help="seconds until posts are late (default %(default)s)")
    command.add_argument("--span-s", type=float, default=600.0, help="rows later than this are left out (%(default)s)")
    command.add_argument("--path", metavar="REGEX", default=PATH, help="paths of uploads (default %(default)s)")
    command.add_argument("--note", default="recorded by balancers", help="how the trace was made")
    command.add_argument("rows", metavar="ROWS", type=Path, nargs="+", help="files that balancers wrote")
    command.add_argument("out", metavar="OUT", type=Path, help="file to write, by custom NAME.jsonl.gz")


def _add_replay(command: argparse.ArgumentParser) -> None:
    command.add_argument("trace", metavar="TRACE", type=Path, help="trace file")
    command.add_argument(
        "--target", metavar="URL", action="append", required=True, help="balancer; may be given again, used in turn"
    )
    command.add_argument(
        "--report", metavar="FILE", type=Path, help="write the report as JSON, and its course as SVG beside it"
    )
    command.add_argument("--region", help="region of the moment")
    command.add_argument("--scale", type=float, default=1.0, help="so many times the arrivals, as jittered copies")
    command.add_argument("--uplink", choices=("trace", "none"), default="trace", help="pace of the uploads")
    command.add_argument(
        "--connections",
        choices=("fresh", "reuse"),
        default="fresh",
        help="one per upload as phones have it, or kept alive between uploads as a gateway would (default fresh)",
    )
    command.add_argument("--attempts", type=int, help="tries of one upload")
    command.add_argument("--ready-timeout", metavar="S", type=float, help="wait for posts to be ready")
    command.add_argument(
        "--after", metavar="S", type=float, default=0.0, help="watch queue and workers so long after the last post"
    )
    command.add_argument("--check-sample", metavar="N", type=int, help="decode all renditions of every Nth post")
    command.add_argument(
        "--stack", metavar="FILE", type=Path, help=f"stack file, for CPU per tier (default {STACK_FILE} if it fits)"
    )


def shape(args: argparse.Namespace) -> Shape:
    """The shape of the burst that the options describe; ValidationError when a parameter is out of range."""
    asked = {name: getattr(args, name) for name, _, _ in SYNTH}
    return msgspec.convert(asked | {"span_s": args.span_s}, Shape)


def synth_command(args: argparse.Namespace) -> str:
    """The command that makes this trace, with every option and without the folder of the output file."""
    words = ["python", "-m", "bench", "synth"]
    for name in (*(name for name, _, _ in SYNTH), "span_s", "window_s", "seed"):
        if getattr(args, name) is not None:
            words += ["--" + name.replace("_", "-"), str(getattr(args, name))]
    return shlex.join([*words, args.out.name])


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
