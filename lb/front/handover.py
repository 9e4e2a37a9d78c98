"""A restart that loses no connection: the next process inherits the listening sockets of this one.

The old process listens on a Unix socket. The new process connects, receives the descriptors (SCM_RIGHTS) and their
names, accepts connections, and sends `go`; then the old process stops accepting and drains. Both hold the same sockets
and so share one accept queue: at no moment is a connection refused or left in a queue that closes. If the new process
dies before its `go`, the old one serves on.
"""

import asyncio
import contextlib
import os
import socket
from pathlib import Path

import msgspec

TIMEOUT_S = 5.0
NAMES_BYTES_MAX = 4096
SOCKETS_MAX = 16
GO = b"go\n"

Listeners = dict[str, list[socket.socket]]


class Inherited:
    """The sockets of the old process; `go` tells it to drain."""

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
    """Hands the sockets to the next process; `replaced` is set when that process accepts connections."""

    def __init__(self, path: str, listeners: Listeners) -> None:
        self._path, self._listeners = path, listeners
        self.replaced = asyncio.Event()

    async def run(self) -> None:
        """Serve requests for the sockets until cancelled or replaced."""
        listener = listen_at(self._path)
        try:
            while not self.replaced.is_set():
                connection, _ = await asyncio.get_running_loop().sock_accept(listener)
                with connection:
                    await self._hand_over(connection)
        finally:
            listener.close()

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


def listen_at(path: str) -> socket.socket:
    """A Unix socket that listens at the path, for this user only; it replaces an older file."""
    # Nobody removes the file at exit: between looking whether the file is its own and removing it, a process could
    # remove its successor's. A file without a listener counts as no process.
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
