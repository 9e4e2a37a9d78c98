"""The command line that all benches of a table share: `--quick`, `--out FILE`, rows as they are known, the exit code.

0 measured, 2 it could not be, which is one line on standard error and no file. A missed aim is told in the table, not
by the code, because it is a figure and no failure of the bench.
"""

import argparse
import contextlib
import resource
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from ..peers.loadgen import LoadError
from ..peers.phone import PhoneError
from ..peers.started import StartError
from ..rows import Results, Row, line, machine, write
from ..service import ServiceError

RESULTS: Final = Path(__file__).resolve().parents[1] / "results"

Tell = Callable[[Row], None]


def options(parser: argparse.ArgumentParser, file: str) -> None:
    """Both options; the file's name is that of the table in `bench/results/`."""
    parser.add_argument("--quick", action="store_true", help="within a minute, roughly; the same rows")
    parser.add_argument("--out", type=Path, default=RESULTS / file, help="where the table goes (%(default)s)")


def given(module: str, about: str | None, file: str, arguments: Sequence[str] | None) -> argparse.Namespace:
    """What `python -m bench.MODULE` was asked for: `quick` and `out`."""
    parser = argparse.ArgumentParser(prog=f"python -m bench.{module}", description=about)
    options(parser, file)
    return parser.parse_args(arguments)


def run(out: Path, measure: Callable[[Tell], None], **more: str | int) -> int:
    """Measure, print each row when it is told, write them; the exit code. `more` is said beside the machine."""
    found: list[Row] = []
    cause: BaseException | None = None

    def tell(row: Row) -> None:
        found.append(row)
        print(line(row), flush=True)

    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        measure(tell)
    except* (StartError, LoadError, PhoneError, ServiceError, subprocess.SubprocessError, OSError) as errors:
        cause = first(errors)
    if cause:
        print(f"bench: {cause}", file=sys.stderr)
        return 2
    write(Results(machine() | more, tuple(found)), out)
    print(f"written to {out}")
    return 0


def first(error: BaseException) -> BaseException:
    """The first cause in a group of groups."""
    return first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def open_all_files() -> None:
    """As many open files as the system lets this process have: each upload in flight is one."""
    with contextlib.suppress(ValueError, OSError):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
