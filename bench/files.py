"""Writes a file whole or not at all: into a new file beside it, which takes its name when it is complete.

An error, Ctrl-C or a full disk leaves what was there before. A device or a pipe is written directly, because it cannot
be replaced.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from .errors import BenchError


class WriteError(BenchError):
    """The file cannot be written; the text says which and why."""


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file for its new content, which is in place when the block ends without an error; else WriteError."""
    try:
        target = path.resolve()  # A symbolic link stays one.
        if target.exists() and not target.is_file():
            with target.open("wb") as file:
                yield file
            return
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            with part.open("xb") as file:
                yield file
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise WriteError(f"cannot write {path}: {error.strerror or error}") from error
