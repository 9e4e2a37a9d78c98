"""The state directory of a stack: one stack at a time, shown by a lock that every process of the stack holds.

The lock is a flock(2) on DIR/lock. Children inherit it, so a directory whose supervisor was killed stays taken until
the last of its children has gone: a new Redis never meets the files of the old one. The file's text, the supervisor's
pid, is for the error message only.
"""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec
import psutil

LOCK: Final = "lock"
POLL_S: Final = 0.05


class StateTaken(Exception):
    """Another stack uses the directory; the text says which."""


class State(msgspec.Struct, frozen=True):
    """A directory that is ours; `lock` is the descriptor that children inherit."""

    folder: Path
    lock: int

    @property
    def logs(self) -> Path:
        """Where each program's output goes."""
        return self.folder / "logs"


@contextmanager
def claimed(folder: Path, *, patience_s: float, fresh: bool = False) -> Iterator[State]:
    """The directory, ours until the end, emptied first when `fresh`; StateTaken when a stack runs there.

    Children of a supervisor that was killed are given `patience_s` to end.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _take(lock, folder, time.monotonic() + patience_s)
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        if fresh:
            _empty(folder)
        state = State(folder, lock)
        state.logs.mkdir(exist_ok=True)
        yield state
    finally:
        os.close(lock)


def _take(lock: int, folder: Path, deadline: float) -> None:
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        owner = os.pread(lock, 32, 0).decode(errors="replace").strip()
        if owner.isdigit() and psutil.pid_exists(int(owner)):
            raise StateTaken(f"a stack already runs on {folder} (pid {owner}): stop it, or choose another --state")
        if time.monotonic() >= deadline:
            raise StateTaken(f"processes of a killed stack still use {folder}: `fuser {folder / LOCK}` lists them")
        time.sleep(POLL_S)


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()
