"""A restart that loses no connection: the next process inherits the listening sockets of this one.

The old process listens on a Unix socket. The new process connects, receives the descriptors (SCM_RIGHTS) and their
names, accepts connections, and sends `go`; then the old process stops accepting and drains. Both hold the same sockets
and so share one accept queue: at no moment is a connection refused or left in a queue that closes. If the new process
dies or is told to stop before its `go`, the old one serves on.
"""

import asyncio
import contextlib
import errno
import logging
import os
import socket
import stat
from pathlib import Path

import msgspec

log = logging.getLogger("snapsurge.lb.handover")

TIMEOUT_S = 5.0
NAMES_BYTES_MAX = 4096
SOCKETS_MAX = 16
GO = b"go\n"

Listeners = dict[str, list[socket.socket]]


class Inherited:
    """The sockets of the old process; `go` tells it to drain, `leave` that it serves on."""

    def __init__(self, listeners: Listeners, connection: socket.socket) -> None:
        self.listeners = listeners
        self._connection = connection

    def at(self, name: str, port: int) -> list[socket.socket]:
        """The sockets of this name that have the wanted port (0 means any)."""
        return [listener for listener in self.listeners.get(name, []) if port in {0, listener.getsockname()[1]}]

    def go(self) -> None:
        """Tell the old process that this one accepts connections."""
        with contextlib.suppress(OSError):
            self._connection.sendall(GO)
        self._connection.close()

    def leave(self) -> None:
        """End without `go`: the old process serves on."""
        self._connection.close()


def inherit(path: str) -> Inherited | None:
    """Ask the running process for its sockets; None when no process answers. Blocks for at most TIMEOUT_S."""
    try:
        # A socket file of another user may be a trap: its descriptors would be trusted with client connections.
        if Path(path).stat().st_uid != os.geteuid():
            return None
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(TIMEOUT_S)
            connection.connect(path)
            said, numbers, _, _ = socket.recv_fds(connection, NAMES_BYTES_MAX, SOCKETS_MAX)
            names = msgspec.json.decode(said, type=list[str])
        except BaseException:
            connection.close()
            raise
    except (OSError, msgspec.MsgspecError):
        return None
    listeners: Listeners = {}
    for name, number in zip(names, numbers, strict=True):
        listeners.setdefault(name, []).append(socket.socket(fileno=number))
    return Inherited(listeners, connection)


class Donor:
    """Hands the sockets to the next process; `replaced` is set when that process accepts connections.

    Construct it before `go`: all that can fail (no such folder, no permission) fails there, while the old process still
    serves. `run` puts its socket at the path, after `go`: until then the path belongs to the old process.
    """

    def __init__(self, path: str, listeners: Listeners) -> None:
        self._path, self._listeners = path, listeners
        self._beside = Path(f"{path}.{os.getpid()}")
        self._listener = listen_at(self._beside, path)
        self.replaced = asyncio.Event()

    async def run(self) -> None:
        """Serve requests for the sockets until cancelled or replaced."""
        # Nobody removes the file at exit: between looking whether the file is its own and removing it, a process could
        # remove its successor's. A file without a listener counts as no process.
        try:
            self._beside.replace(self._path)
        except OSError as error:
            log.error(  # noqa: TRY400 - where it was called says nothing
                "cannot create the handover socket %s: %s. The next restart will drop connections; fix the path and "
                "restart this process",
                self._path,
                error.strerror,
            )
            self.close()
            return
        try:
            while not self.replaced.is_set():
                connection, _ = await asyncio.get_running_loop().sock_accept(self._listener)
                with connection:
                    await self._hand_over(connection)
        finally:
            self._listener.close()

    def close(self) -> None:
        """Close without a socket at the path; call it if `run` is never called."""
        self._listener.close()
        self._beside.unlink(missing_ok=True)

    async def _hand_over(self, connection: socket.socket) -> None:
        pairs = [(name, listener) for name, listeners in self._listeners.items() for listener in listeners]
        try:
            socket.send_fds(
                connection,
                [msgspec.json.encode([name for name, _ in pairs])],
                [listener.fileno() for _, listener in pairs],
            )
            said = await asyncio.get_running_loop().sock_recv(connection, len(GO))
        except OSError:
            return
        if said == GO:
            self.replaced.set()


def occupied(path: str) -> bool:
    """Whether the path names something that is no socket, which a process that listens there would destroy."""
    try:
        return not stat.S_ISSOCK(Path(path).lstat().st_mode)
    except OSError:
        return False


def surplus(path: str, count: int, most: int) -> list[int]:
    """The numbers from `count` on of a running group's processes that hand over at `path` and their number."""
    return [number for number in range(count, most) if path and listens(f"{path}.{number}")]


def listens(path: str) -> bool:
    """Whether a process accepts connections at the path; it takes the end of this one for a successor's that left."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(TIMEOUT_S)
        return connection.connect_ex(path) == 0


def listen_at(beside: Path, path: str) -> socket.socket:
    """A Unix socket for this user only, at a file beside the path that it is for."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.setblocking(False)
    try:
        if occupied(path) or occupied(str(beside)):
            raise FileExistsError(errno.EEXIST, "the path names something that is no socket")
        beside.unlink(missing_ok=True)
        listener.bind(str(beside))
        beside.chmod(0o600)
        listener.listen(4)
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"cannot listen for the next process: {error.strerror}", path) from error
    return listener
