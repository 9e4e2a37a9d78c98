"""`python -m deploy`: runs the whole stack on one machine, and the commands around it.

The composition root: it reads arguments and settings and runs one command. Exit codes: 0 done, 1 the command failed,
2 the command did not begin (bad arguments or settings, a port or a state directory in use), 130 interrupted. `check`:
1 no-go, 2 could not tell.
"""

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

if __name__ == "__main__":  # Ctrl-C during the imports, which take a second, ends the process without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import msgspec

from . import config as settings
from . import servers
from .checks import command as checks
from .config import Config, SettingsError
from .demo import DemoFailed, demo
from .plan import Options
from .ports import PortTaken
from .replay import TRACE, ReplayFailed
from .restart import RestartFailed, restart
from .servers import ServerMissing
from .state import StateTaken
from .supervisor import StartFailed
from .tokens import token
from .trail import NoStack, trail
from .trail_words import words
from .up import up
from .watching import command as watching
from .watching.targets import TargetsUnknown

STATE: Final = Path(".snapsurge")
REFUSED: Final = (
    SettingsError,
    NoStack,
    PortTaken,
    StateTaken,
    TargetsUnknown,
    ValueError,
)  # Exit code 2: the command did not begin.
FAILED: Final = (ServerMissing, RestartFailed, StartFailed, DemoFailed, ReplayFailed, OSError)
STORES: Final = "`file` (in the state directory), `minio` (one of its own), or an address like s3://bucket?endpoint=…"


def parser() -> argparse.ArgumentParser:
    """The parser of all commands, with the settings in its help."""
    top = argparse.ArgumentParser(
        prog="python -m deploy",
        description="Run snapsurge on one machine, without root.",
        epilog="Settings, from the environment:\n" + settings.table(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, add, text in (
        ("up", _add_up, "run the whole stack until Ctrl-C"),
        ("demo", _add_demo, "the main job: replay a burst, kill a node half-way, check that nothing was lost"),
        (
            "restart",
            _add_restart,
            "restart the balancers and nodes of a running stack one after another, losing nothing",
        ),
        ("check", _add_check, "go or no-go: whether a stack is ready for a moment, and if not, why and what to do"),
        ("trail", _add_trail, "follow one upload, by its request id or post id, through all tiers of a stack"),
        ("token", _add_token, "print a token for this environment's secret"),
        ("watch", partial(watching.add_arguments, state=STATE), "show a stack live: moment, uploads, nodes, queue"),
        ("minio", _add_nothing, "get the MinIO server into .tools/bin, and print its path"),
    ):
        add(commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False))
    return top


def _add_nothing(_: argparse.ArgumentParser) -> None:
    """Add no arguments: for commands that take none."""


def _add_stack(command: argparse.ArgumentParser, state: Path) -> None:
    command.add_argument("--store", help=f"{STORES} (default file)")
    command.add_argument(
        "--minio-members",
        metavar="N",
        type=int,
        default=1,
        help="a MinIO of N processes with a drive each, an erasure set (implies --store minio)",
    )
    command.add_argument("--redis", metavar="URL", help="a Redis that runs already (default: one of its own)")
    command.add_argument(
        "--redis-sentinel", action="store_true", help="a Redis of its own that fails over: two servers, three Sentinels"
    )
    command.add_argument(
        "--redis-shards", metavar="N", type=int, default=1, help="with 2 or more: Redis servers that share the posts"
    )
    command.add_argument(
        "--prometheus", action="store_true", help="start a Prometheus that scrapes all programs (deploy/prometheus)"
    )
    command.add_argument("--nodes", type=int, default=3, help="upload nodes (default %(default)s)")
    command.add_argument("--balancers", type=int, default=2, help="balancers (default %(default)s)")
    command.add_argument(
        "--workers-min", metavar="N", type=int, help="minimum number of workers (default: the autoscaler's)"
    )
    command.add_argument(
        "--workers-max", metavar="N", type=int, help="maximum number of workers (default: the autoscaler's)"
    )
    command.add_argument("--state", metavar="DIR", type=Path, help=f"stack.json, logs and data (default {state})")
    command.add_argument(
        "--log", choices=("json", "text"), default="json", help="log format of the programs (%(default)s)"
    )


def _add_up(command: argparse.ArgumentParser) -> None:
    _add_stack(command, STATE)
    command.add_argument(
        "--port", type=int, default=8080, help="first balancer's port, the others follow; 0: free ones (%(default)s)"
    )
    command.add_argument("--json", action="store_true", help="print one line of JSON on stdout when ready")
    command.epilog = (
        "The first SIGTERM or SIGINT drains, a second one kills. On Linux all child processes end when the supervisor "
        "is killed; on macOS they keep running."
    )


def _add_demo(command: argparse.ArgumentParser) -> None:
    _add_stack(command, STATE / "demo")
    command.add_argument(
        "--trace", metavar="FILE", type=Path, default=TRACE, help="trace of the burst (default: the bundled one)"
    )
    command.add_argument("--report", metavar="FILE", type=Path, help="bench's report (default DIR/report.json)")
    command.epilog = "Ports are free ones, so that it runs beside an `up`. Its default state is emptied first."


def _add_restart(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--state", metavar="DIR", type=Path, default=STATE, help="state directory of the stack (default %(default)s)"
    )
    command.add_argument("--timeout", metavar="S", type=float, default=600.0, help="timeout in seconds (%(default)s)")


def _add_check(command: argparse.ArgumentParser) -> None:
    checks.arguments(command, STATE)


def _add_trail(command: argparse.ArgumentParser) -> None:
    command.add_argument("id", metavar="ID", help="a request id, as in X-Request-Id, or a post id")
    command.add_argument(
        "--state", metavar="DIR", type=Path, default=STATE, help="state directory of the stack (default %(default)s)"
    )
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.epilog = "Exit code 0: found, 1: nothing is known of this id, 2: there is no such stack."


def _add_token(command: argparse.ArgumentParser) -> None:
    command.add_argument("--user", required=True, help="the subject: a user id of 1 to 128 printable characters")
    command.add_argument(
        "--scope", choices=("upload", "ops"), default="upload", help="scope of the token (default %(default)s)"
    )
    command.add_argument(
        "--ttl", metavar="S", type=int, default=3600, help="lifetime of the token in seconds (%(default)s)"
    )


def options(args: argparse.Namespace) -> Options:
    """The stack options of the command line; msgspec.ValidationError, a ValueError, when a number is out of range."""
    names = [field.name for field in msgspec.structs.fields(Options)]
    given = {name: getattr(args, name) for name in names if hasattr(args, name)}
    if given["store"] is None:
        given["store"] = "minio" if given["minio_members"] > 1 else "file"
    return msgspec.convert({"port": 0} | given, Options)


def run_up(args: argparse.Namespace, config: Config) -> int:
    """Run `up`; its exit code."""
    folder = (args.state or STATE).resolve()
    return asyncio.run(up(options(args), folder, config, as_json=args.json, out=sys.stdout, err=sys.stderr))


def run_demo(args: argparse.Namespace, config: Config) -> int:
    """Run `demo`; its exit code. The default state directory is emptied first."""
    folder = (args.state or STATE / "demo").resolve()
    report = (args.report or folder / "report.json").resolve()
    job = demo(options(args), folder, config, trace=args.trace.resolve(), report=report, fresh=args.state is None)
    return asyncio.run(job)


def run_restart(args: argparse.Namespace, _: Config) -> int:
    """Run `restart` and print what was restarted."""
    _result(restart(args.state.resolve(), args.timeout, lambda line: print(f"deploy: {line}", file=sys.stderr)))
    return 0


def run_check(args: argparse.Namespace, _: Config) -> int:
    """Run `check`; 0 go, 1 no-go, 2 could not tell."""
    return checks.run(args, STATE)


def run_trail(args: argparse.Namespace, config: Config) -> int:
    """Run `trail`: print what is known of one upload; 1 if nothing is."""
    found = asyncio.run(trail(args.id, args.state.resolve(), config))
    _result(msgspec.json.encode(found).decode() if args.json else words(found))
    return 0 if found.lines or found.history else 1


def run_token(args: argparse.Namespace, config: Config) -> int:
    """Run `token`: print a signed token."""
    _result(token(config.auth_secret, args.user, args.scope, now=time.time(), ttl_s=args.ttl))
    return 0


def run_minio(_: argparse.Namespace, __: Config) -> int:
    """Run `minio`: build the server unless it exists, and print its path."""
    _result(servers.build_minio())
    return 0


RUN: Final[dict[str, Callable[[argparse.Namespace, Config], int]]] = {
    "up": run_up,
    "demo": run_demo,
    "restart": run_restart,
    "check": run_check,
    "trail": run_trail,
    "token": run_token,
    "minio": run_minio,
    "watch": watching.run,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    code = 0
    try:
        args = parser().parse_args(argv)
        code = RUN[args.command](args, settings.load())
    except* (asyncio.CancelledError, KeyboardInterrupt):
        code = 130
    except* REFUSED as errors:
        code = _say(errors, 2)
    except* FAILED as errors:
        code = _say(errors, 1)
    return code


def _result(text: object) -> None:
    """Print the result of a command that is done; a pipe that nobody reads ends the process without an error."""
    before = signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        print(text, flush=True)
    finally:
        signal.signal(signal.SIGPIPE, before)


def _leaves(error: BaseException) -> Iterator[str]:
    """The texts of the errors inside exception groups, because a group's own text does not name them."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield str(error)


def _say(errors: BaseExceptionGroup[BaseException], code: int) -> int:
    print(f"deploy: {'; '.join(dict.fromkeys(_leaves(errors)))}", file=sys.stderr)
    return code


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        sys.exit(main())
    finally:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `… | head`: the last output is lost without a traceback.
