"""Writes a file whole or not at all: into a new file beside it, which takes its name when it is complete.

An error, Ctrl-C or a full disk leaves what was there before. A device or a pipe is written directly, because it cannot
be replaced. Also reads a JSON file, and the SHA-256 of a file, by which reports and predictions know a trace.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

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
        with folder_made(path.parent), replacing(path) as file:
            file.write(content)
    except OSError as error:
        raise WriteError(f"cannot write {path}: {error.strerror}") from error


@contextmanager
def folder_made(folder: Path) -> Iterator[None]:
    """Make a folder for what the block writes into it; when that fails, folders that were not there go again."""
    absent = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for one in absent:
            with suppress(OSError):
                one.rmdir()
        raise


def write_json(path: Path, value: object) -> None:
    """The value as JSON with an indent of two spaces."""
    write(path, msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")


def read_json(path: Path, kind: type[T], what: str, error: type[BenchError]) -> T:
    """The value in a JSON file; the error, with the file and why, when it cannot be read or is no `what`."""
    try:
        data = path.read_bytes()
        found = msgspec.json.decode(data, type=kind)
        no_key_twice(data)
    except OSError as cause:
        raise error(f"{path}: {cause.strerror}") from cause
    except (msgspec.MsgspecError, ValueError) as cause:
        raise error(f"{path} is no {what}: {cause}") from cause
    return found


def no_key_twice(data: bytes) -> None:
    """ValueError when an object of this JSON has a key twice: readers differ in which one counts."""

    def keys(pairs: list[tuple[str, Any]]) -> None:
        names = [name for name, _ in pairs]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"the key `{twice}` is there twice")

    try:
        json.loads(data, object_pairs_hook=keys)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def sha256(path: Path) -> str:
    """The digest of a file's content, as hex digits; BenchError when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BenchError(f"{path}: {error.strerror}") from error
