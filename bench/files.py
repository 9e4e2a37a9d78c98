"""Writes a file whole or not at all: into a new file beside it, which takes its name when it is complete.

An error, Ctrl-C or a full disk leaves what was there before. A device or a pipe is written directly, because it cannot
be replaced. Also reads a JSON file, and the SHA-256 of a file, by which reports and predictions know a trace.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar

import msgspec

from .errors import BenchError

T = TypeVar("T")


class WriteError(BenchError):
    """The file cannot be written; the text says which and why."""


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file for its new content, which is in place when the block ends without an error; else WriteError."""
    try:
        if path.exists() and not path.is_file():
            # A device or a pipe cannot be replaced.
            with path.open("wb") as file:
                yield file
            return
        target = path.resolve()  # A symbolic link stays one.
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            with part.open("xb") as file:
                yield file
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise WriteError(f"cannot write {path}: {error.strerror or error}") from error


def write(path: Path, content: bytes) -> None:
    """Put the content into the file; its folder is made if it is not there."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(f"cannot write {path}: {error.strerror}") from error
    with replacing(path) as file:
        file.write(content)


def write_json(path: Path, value: object) -> None:
    """The value as JSON with an indent of two spaces."""
    write(path, msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")


def read_json(path: Path, kind: type[T], what: str, error: type[BenchError]) -> T:
    """The value in a JSON file; the error, with the file and why, when it cannot be read or is no `what`."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as cause:
        raise error(f"{path}: {cause.strerror}") from cause
    except (msgspec.MsgspecError, UnicodeDecodeError) as cause:
        raise error(f"{path} is no {what}: {cause}") from cause


def sha256(path: Path) -> str:
    """The digest of a file's content, as hex digits; BenchError when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BenchError(f"{path}: {error.strerror}") from error
