"""The command line that all benches share: `--quick`, `--out FILE`, rows printed as they are known, the exit code.

Exit code 0: measured. Exit code 2: the measurement was not possible; one line on standard error says why, and no file
is written. Exit code 130: Ctrl-C or SIGTERM; no file is written, and what the bench started is ended.
A missed aim shows in the table and not in the exit code: it is a result and no failure of the bench.
"""

import argparse
import asyncio
import contextlib
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NoReturn

from .errors import BenchError
from .rows import Results, Row, line, machine, write

RESULTS: Final = Path(__file__).resolve().parent / "results"

Tell = Callable[[Row], None]


class Parser(argparse.ArgumentParser):
    """A parser that tells what is wrong with the words in one line, as all errors are told."""

    def error(self, message: str) -> NoReturn:
        """Print the message and end with exit code 2."""
        said = " ".join(message.splitlines())
        self.exit(2, f"{self.prog.removeprefix('python -m ')}: {said}; --help tells more\n")


def options(parser: argparse.ArgumentParser, file: str) -> None:
    """Add `--quick` and `--out`; `file` is the default name in `bench/results/`."""
    parser.add_argument("--quick", action="store_true", help="measure for about a minute only; the same rows")
    parser.add_argument("--out", type=Path, default=RESULTS / file, help="where the table goes (%(default)s)")


def given(module: str, about: str | None, file: str, arguments: Sequence[str] | None) -> argparse.Namespace:
    """The parsed command line of a bench's program: `quick` and `out`."""
    parser = Parser(prog=f"python -m bench.{module}", description=about, allow_abbrev=False)
    options(parser, file)
    return parser.parse_args(arguments)


def run(out: Path, measure: Callable[[Tell], None], **more: str | int) -> int:
    """Measure, print each row as it is told, write all rows; return the exit code. `more` is added to the machine."""
    found: list[Row] = []

    def tell(row: Row) -> None:
        found.append(row)
        print(line(row), flush=True)

    def measured() -> None:
        out.parent.mkdir(parents=True, exist_ok=True)
        measure(tell)
        write(Results(machine() | more, tuple(found)), out)
        # A missed aim shows in the table and not in the exit code: it is a result and no failure of the bench.
        print(f"written to {out}")

    return told(out, measured)


def told(out: Path, work: Callable[[], None]) -> int:
    """Do the work, which ends with writing the file; the exit code, and what went wrong as one line."""
    cause: BaseException | None = None
    interrupted = False
    # SIGTERM would end only this process, and leave its stack running. A shell's `&` lets a program ignore SIGINT.
    handlers = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: lambda *_: signal.raise_signal(signal.SIGINT),
    }
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        work()
    except* (asyncio.CancelledError, KeyboardInterrupt):
        interrupted = True
    except* (BenchError, subprocess.SubprocessError, OSError) as errors:
        # One line, for a person: no traceback for a server that is not installed.
        cause = first(errors)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if interrupted:
        print(f"bench: interrupted, {out} is as it was", file=sys.stderr)
        return 130
    if cause:
        print(f"bench: {cause}", file=sys.stderr)
        return 2
    return 0


def first(error: BaseException) -> BaseException:
    """The first exception inside nested exception groups."""
    return first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def open_all_files() -> None:
    """Raise the limit of open files to the most the system allows: each upload in flight needs one."""
    with contextlib.suppress(ValueError, OSError):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
