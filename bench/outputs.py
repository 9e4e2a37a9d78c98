"""Looks at the files that a command is to write, before it begins: a burst whose report is lost was sent for nothing.

Names are those of the options, so that an error says which one is meant. A device or a pipe is not looked at: it cannot
be replaced, and `/dev/null` may be given twice.
"""

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from .errors import BenchError
from .files import WriteError

ROOM_BYTES: Final = 2**20  # about what a page needs: the script that draws it is most of it
Named = Mapping[str, Path | None]


class SameFile(BenchError):
    """An output would replace an input or another output; the text names both."""


def check(written: Named, read: Named) -> None:
    """SameFile as `distinct`; WriteError unless each file can be written now, in a folder that is made if need be."""
    distinct(written, read)
    for path in written.values():
        if path is not None and not _special(path):
            _try(path)


def distinct(written: Named, read: Named) -> None:
    """SameFile when a file to be written is also one that is read, or is written twice; None is no file."""
    known = [(name, path) for name, path in read.items() if path is not None]
    for name, path in written.items():
        if path is None or _special(path):
            continue
        for other, there in known:
            if _same(path, there):
                raise SameFile(f"{name} {path} is the same file as {other}: it would be overwritten")
        known.append((name, path))


def tried(write: Callable[[], None]) -> None:
    """Write at the end of a run. It is judged: what cannot be written is said in a line, and the verdict stays."""
    try:
        write()
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)


def _same(one: Path, other: Path) -> bool:
    if os.path.realpath(one) == os.path.realpath(other):
        return True
    try:
        return one.samefile(other)
    except OSError:  # one of them is not there yet
        return False


def _special(path: Path) -> bool:
    try:
        return path.exists() and not path.is_file() and not path.is_dir()
    except OSError:
        return False


def _try(path: Path) -> None:
    """Write a file beside it, as `files.replacing` does, and delete it."""
    target = Path(os.path.realpath(path))
    try:
        if target.is_dir():
            raise WriteError(f"cannot write {path}: Is a directory")
        probe = target.with_name(f".{target.name}.{os.getpid()}.probe")
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with probe.open("xb") as file:
                file.write(bytes(ROOM_BYTES))
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        raise WriteError(f"cannot write {path}: {error.strerror or error}") from error
