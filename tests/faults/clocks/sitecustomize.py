"""A wrong clock for one process, for tests only: `time` and `datetime` of the node NAME are off by what file NAME says.

Python imports this file at start when its folder is on PYTHONPATH. The folder of the files is FAULTS_CLOCKS; a file
holds one double, in seconds, and is memory-mapped, so that a step reaches a running process. Other programs are not
changed. The monotonic clock is not changed either, because steps of the wall clock do not affect it.
"""

import datetime as dt
import mmap
import os
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path


def _step(offset: mmap.mmap) -> None:
    true_time, true_ns = time.time, time.time_ns

    def seconds() -> float:
        return float(struct.unpack_from("d", offset)[0])

    class Shifted(dt.datetime):
        """Replaces `datetime.datetime` for all libraries."""

        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> "Shifted":
            """Return the shifted time."""
            return super().now(tz) + dt.timedelta(seconds=seconds())

        @classmethod
        def utcnow(cls) -> "Shifted":
            """Return the shifted time in UTC, for old libraries."""
            return cls.now(dt.UTC).replace(tzinfo=None)

    true_gmtime, true_localtime, true_strftime = time.gmtime, time.localtime, time.strftime

    class Moved:
        """A function of the time, which as an attribute of a class does not become a method: logging wants that."""

        def __init__(self, true: Callable[[float], time.struct_time]) -> None:
            self.true = true

        def __call__(self, at: float | None = None) -> time.struct_time:
            """The true function, of the shifted time unless one is given."""
            return self.true(true_time() + seconds() if at is None else at)

    gmtime, localtime = Moved(true_gmtime), Moved(true_localtime)

    def strftime(form: str, at: time.struct_time | None = None) -> str:
        return true_strftime(form, localtime() if at is None else at)

    time.gmtime, time.localtime, time.strftime = gmtime, localtime, strftime  # type: ignore[assignment]
    time.time = lambda: true_time() + seconds()
    time.time_ns = lambda: true_ns() + int(seconds() * 1e9)
    dt.datetime = Shifted  # type: ignore[misc]


_words = sys.orig_argv
_folder = os.environ.get("FAULTS_CLOCKS")  # noqa: TID251 - it runs before anything of ours
if _folder and "ingest" in _words and "--id" in _words:
    with (Path(_folder) / _words[_words.index("--id") + 1]).open("r+b") as _file:
        _step(mmap.mmap(_file.fileno(), 8))
