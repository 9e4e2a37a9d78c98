"""The state directory of a stack; a lock, held by every process of the stack, allows one stack at a time."""

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec
import psutil

LOCK: Final = "lock"
POLL_S: Final = 0.05
# The kernel allows at least 104 bytes; the balancer adds its pid to the path while it creates the socket.
SOCKET_PATH_MAX: Final = 90


class StateTaken(Exception):
    """Another stack uses the directory, or it cannot be used at all; the text says what to do."""


class State(msgspec.Struct, frozen=True):
    """A locked state directory; `lock` is the descriptor of the lock, which children inherit."""

    folder: Path
    lock: int

    @property
    def logs(self) -> Path:
        """The folder for the output of the programs."""
        return self.folder / "logs"


@contextmanager
def claimed(folder: Path, *, patience_s: float, fresh: bool = False) -> Iterator[State]:
    """Lock the directory until exit, and empty it first when `fresh`; StateTaken when a stack runs there.

    Waits up to `patience_s` for children of a killed supervisor to end.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # For a flock(2). Children inherit the descriptor: when a supervisor is killed, the directory stays locked until
        # its last child has ended, so a new Redis never opens the files of a running old one.
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StateTaken(f"{folder} cannot be used: {error.strerror}; choose another --state") from error
    try:
        _take(lock, folder, time.monotonic() + patience_s)
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)  # for the error message of `_take` alone
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
        # A living supervisor holds the lock until somebody stops it: an error at once. The children of a killed one end
        # by themselves, so waiting helps.
        if owner.isdigit() and psutil.pid_exists(int(owner)):
            raise StateTaken(f"a stack already runs on {folder} (pid {owner}): stop it, or choose another --state")
        if time.monotonic() >= deadline:
            raise StateTaken(f"processes of a killed stack still use {folder}: `fuser {folder / LOCK}` lists them")
        time.sleep(POLL_S)


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        # Another process may wait for a lock on this very file.
        elif path.name != LOCK:
            path.unlink()


def handover(state: Path, name: str) -> str:
    """The path of the Unix socket over which a balancer hands its listening sockets to its successor.

    In the state directory, or in the temporary directory when that path would be too long.
    """
    path = state / f"{name}.sock"
    if len(bytes(path)) > SOCKET_PATH_MAX:
        digest = hashlib.blake2b(bytes(path), digest_size=8).hexdigest()
        path = Path(tempfile.gettempdir()) / f"snapsurge-{digest}.sock"
    return str(path)
