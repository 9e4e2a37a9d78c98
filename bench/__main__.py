"""`python -m bench VERB …`: traces of bursts, their replay, and what can be known before and after.

Reads the command line, runs the verb, and prints what could not be run as one line. Exit codes: 0 good, 1 bad, 2 could
not run, 3 void, 130 ended by Ctrl-C or SIGTERM.
"""

import argparse
import asyncio
import inspect
import signal
import sys
from collections.abc import Sequence
from typing import Final

if __name__ == "__main__":  # Ctrl-C during the imports, which take a second, ends the process without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import msgspec

from . import config as settings
from .command import Parser, first
from .errors import BenchError
from .verbs import VERBS

INTERRUPTED: Final = 130


def parser() -> argparse.ArgumentParser:
    """The parser of the command line, with all verbs."""
    top = Parser(
        prog="python -m bench",
        description="Bursts as traces, and their replay at a running service, checked for loss.",
        epilog="Settings, from the environment:\n" + settings.table(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = top.add_subparsers(metavar="VERB", required=True)
    for verb in VERBS:
        about = inspect.getdoc(verb) or ""
        summary = about.partition("\n")[0].rstrip(".")
        name = verb.__name__.rpartition(".")[2]
        command = commands.add_parser(
            name, help=summary[0].lower() + summary[1:], description=about, allow_abbrev=False
        )
        verb.arguments(command)
        command.set_defaults(run=verb.run)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return the exit code."""
    code = 2
    try:
        args = parser().parse_args(argv)
        return int(args.run(args))
    except* (asyncio.CancelledError, KeyboardInterrupt):
        code = INTERRUPTED
    except* (ValueError, BenchError, msgspec.ValidationError) as errors:
        print(f"bench: {first(errors)}", file=sys.stderr)
    return code


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # A pod's deletion and systemd send SIGTERM: it ends a command as Ctrl-C does, and leaves no half of anything.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        sys.exit(main())
    finally:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `… | head`: the last output is lost without a traceback.
