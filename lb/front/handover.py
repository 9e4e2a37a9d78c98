"""A restart that loses no connection: the next process takes the listening sockets from this one.

The old process waits on a Unix socket. The new one connects, gets the descriptors (SCM_RIGHTS) and their names, begins
to accept, and says `go`; then the old one stops accepting and drains. Both hold the same sockets, hence the same accept
queue, so there is no moment in which a connection could be refused or left in a queue that closes. If the new process
dies before its `go`, nothing has happened. Only a socket file of our own user is trusted. Nobody removes the file: the
next process puts its own in its place, and one that nobody listens on is as good as none. A process that looked whether
the file is its own and then removed it would remove its successor's, now and then.
"""

import asyncio
import contextlib
import os
import socket
from pathlib import Path

import msgspec

PATIENCE_S = 5.0
NAMES_BYTES_MAX = 4096
SOCKETS_MAX = 16
GO = b"go\n"

Doors = dict[str, list[socket.socket]]


class Taken:
    """What the process before gave; `go` tells it to leave."""

    def __init__(self, doors: Doors, line: socket.socket) -> None:
        self.doors = doors
        self._line = line

    def at(self, name: str, port: int) -> list[socket.socket]:
        """The sockets of a name, if they have the port that is wanted now (0 means any)."""
        return [door for door in self.doors.get(name, []) if port in {0, door.getsockname()[1]}]

    def go(self) -> None:
        """We accept: the old one may stop."""
        with contextlib.suppress(OSError):
            self._line.sendall(GO)
        self._line.close()


def take(path: str) -> Taken | None:
    """Ask the process that runs; None where there is none. Blocks for at most a few seconds."""
    try:
        if Path(path).stat().st_uid != os.geteuid():
            return None
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            line.settimeout(PATIENCE_S)
            line.connect(path)
            said, numbers, _, _ = socket.recv_fds(line, NAMES_BYTES_MAX, SOCKETS_MAX)
            names = msgspec.json.decode(said, type=list[str])
        except BaseException:
            line.close()
            raise
    except (OSError, msgspec.MsgspecError):
        return None
    doors: Doors = {}
    for name, number in zip(names, numbers, strict=True):
        doors.setdefault(name, []).append(socket.socket(fileno=number))
    return Taken(doors, line)


class Giver:
    """Waits for the next process; `replaced` is set when that one accepts."""

    def __init__(self, path: str, doors: Doors) -> None:
        self._path, self._doors = path, doors
        self.replaced = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        listener = bound(self._path)
        try:
            while not self.replaced.is_set():
                line, _ = await asyncio.get_running_loop().sock_accept(listener)
                with line:
                    await self._give(line)
        finally:
            listener.close()

    async def _give(self, line: socket.socket) -> None:
        pairs = [(name, door) for name, doors in self._doors.items() for door in doors]
        try:
            socket.send_fds(
                line, [msgspec.json.encode([name for name, _ in pairs])], [door.fileno() for _, door in pairs]
            )
            said = await asyncio.get_running_loop().sock_recv(line, len(GO))
        except OSError:
            return
        if said == GO:
            self.replaced.set()


def bound(path: str) -> socket.socket:
    """A socket that listens at the path, in place of whatever was there, for our own user alone."""
    partial = Path(f"{path}.{os.getpid()}")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.setblocking(False)
    try:
        partial.unlink(missing_ok=True)
        listener.bind(str(partial))
        partial.chmod(0o600)
        listener.listen(4)
        partial.replace(path)
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"cannot listen for the next process: {error.strerror}", path) from error
    return listener
