"""A TCP proxy between two tiers that injects network and server faults, and counts how often it injected them.

A `Toxic` gets every piece of bytes in both directions and may delay it, drop it, answer it or reset the connection.
Without a toxic the proxy passes all bytes unchanged. The toxics are in `toxics`.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Iterator
from types import TracebackType
from typing import Literal, Self

Way = Literal["up", "down"]  # to the server, to the client

PIECE = 65536
CLOSED_S = 1.0


class Cut(Exception):
    """Raised by a toxic to reset the connection."""


class Connection:
    """A client's connection and the proxy's connection to the server; toxics keep their state of it in `marks`."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client, self.server = client, server
        self.marks: dict[object, int] = {}

    def reset(self) -> None:
        """Send RST to both sides and discard unsent bytes."""
        for writer in (self.client, self.server):
            with contextlib.suppress(OSError):
                connected: socket.socket = writer.get_extra_info("socket")
                connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


class Toxic:
    """A kind of fault. `hits` counts how often it was injected; 0 means that there was no fault."""

    def __init__(self) -> None:
        self.hits = 0

    async def passes(self, connection: Connection, way: Way, data: bytes) -> bytes:
        """The bytes of this piece that are passed on; raises Cut to reset the connection."""
        raise NotImplementedError

    def healed(self, connection: Connection) -> None:
        """Called when the fault ends: resets an affected connection, because it may have lost bytes."""
        if self in connection.marks:
            connection.reset()


class FaultProxy:
    """`async with FaultProxy(port)` listens on a free port of the address `at` and forwards to this port of `host`."""

    def __init__(self, target: int, *, host: str = "127.0.0.1", at: str = "127.0.0.1") -> None:
        self.target = target  # for new connections; existing connections keep their server
        self._host, self._at = host, at
        self.port = 0
        self.toxics: list[Toxic] = []
        self.connections: set[Connection] = set()

    @contextlib.contextmanager
    def toxic(self, toxic: Toxic) -> Iterator[Toxic]:
        """Apply the toxic until the block ends."""
        self.toxics.append(toxic)
        try:
            yield toxic
        finally:
            self.toxics.remove(toxic)
            for connection in set(self.connections):
                toxic.healed(connection)

    def reset_all(self) -> int:
        """Reset every open connection; returns how many there were."""
        there = set(self.connections)
        for connection in there:
            connection.reset()
        return len(there)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self._at, 0, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        self.reset_all()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSED_S):
                while self.connections:
                    await asyncio.sleep(0.01)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server = await asyncio.open_connection(self._host, self.target)
        except OSError:
            Connection(writer, writer).reset()
            return
        connection = Connection(writer, server)
        self.connections.add(connection)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(connection, "up", reader, server), name="up")
                group.create_task(self._pump(connection, "down", server_reader, writer), name="down")
        except* (Cut, OSError):
            connection.reset()
        finally:
            self.connections.discard(connection)
            writer.close()
            server.close()

    async def _pump(
        self, connection: Connection, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Forward bytes in one direction until the sender ends it; the other direction may go on."""
        while data := await reader.read(PIECE):
            for toxic in tuple(self.toxics):
                data = await toxic.passes(connection, way, data)
                if not data:
                    break
            if data:
                writer.write(data)
                await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()
