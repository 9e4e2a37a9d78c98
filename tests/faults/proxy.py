"""A TCP proxy between two tiers that does what networks and servers do when they fail, and counts how often it did.

A `Toxic` sees every piece of bytes in both directions and may delay, swallow, answer or reset. While no toxic is there
the proxy is a wire. It understands of HTTP and of Redis only what its toxics look for at the begin of a piece.
"""

import asyncio
import contextlib
import re
import socket
import struct
from collections.abc import Iterator
from types import TracebackType
from typing import Literal, Self

Way = Literal["up", "down"]  # to the server, to the client

PIECE = 65536
CONTINUE = b"HTTP/1.1 100"
SLOW_DOWN = (
    b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nConnection: close\r\nContent-Length: 111\r\n\r\n"
    b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code><Message>Reduce your rate</Message></Error>  '
)


class Cut(Exception):
    """The connection is to be reset."""


class Connection:
    """One client's connection and ours to the server; toxics keep what they know of it in `marks`."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client, self.server = client, server
        self.marks: dict[object, int] = {}

    def reset(self) -> None:
        """RST to both sides, whatever is still to be written."""
        for writer in (self.client, self.server):
            with contextlib.suppress(OSError):
                connected: socket.socket = writer.get_extra_info("socket")
                connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


class Toxic:
    """What goes wrong. `hits` counts how often it did: none means that there was no fault."""

    def __init__(self) -> None:
        self.hits = 0

    async def passes(self, connection: Connection, way: Way, data: bytes) -> bytes:
        """What goes on of this piece; Cut to reset the connection."""
        raise NotImplementedError

    def healed(self, connection: Connection) -> None:
        """The fault is over; a connection that lost bytes is of no use any more."""
        if self in connection.marks:
            connection.reset()


class Slow(Toxic):
    """Every piece waits, and as much longer as its bytes need at the rate."""

    def __init__(self, seconds: float, bytes_s: float = float("inf")) -> None:
        super().__init__()
        self._seconds, self._bytes_s = seconds, bytes_s

    async def passes(self, connection: Connection, way: Way, data: bytes) -> bytes:
        """All of it, late."""
        self.hits += 1
        await asyncio.sleep(self._seconds + len(data) / self._bytes_s)
        return data


class Blackhole(Toxic):
    """Bytes vanish, connections stay: a half-open peer, a hung server. `ways` says which direction."""

    def __init__(self, *ways: Way) -> None:
        super().__init__()
        self._ways = ways or ("up", "down")

    async def passes(self, connection: Connection, way: Way, data: bytes) -> bytes:
        """Nothing."""
        if way not in self._ways:
            return data
        self.hits += 1
        connection.marks[self] = 1
        return b""


class CutAfter(Toxic):
    """Each connection is reset once so many bytes have gone this way; 0 for before the first."""

    def __init__(self, way: Way, size: int = 0) -> None:
        super().__init__()
        self._way, self._size = way, size

    async def passes(self, connection: Connection, way: Way, data: bytes) -> bytes:
        """The bytes before the cut."""
        if way != self._way:
            return data
        gone = connection.marks.get(self, 0)
        if gone + len(data) <= self._size:
            connection.marks[self] = gone + len(data)
            return data
        self.hits += 1
        if rest := self._size - gone:
            connection.server.write(data[:rest])
            with contextlib.suppress(ConnectionError):
                await connection.server.drain()
        raise Cut

    def healed(self, connection: Connection) -> None:
        """What was not cut has lost nothing."""


class Busy(Toxic):
    """The proxy answers 503 SlowDown for the server, to requests that begin meanwhile, and drops their bodies."""

    async def passes(self, connection: Connection, way: Way, data: bytes) -> bytes:
        """Nothing of a request that was answered here."""
        if way == "down":
            return b"" if self in connection.marks else data
        if self not in connection.marks and re.match(rb"(PUT|GET|HEAD|POST|DELETE) /", data):
            self.hits += 1
            connection.marks[self] = 1
            connection.client.write(SLOW_DOWN)
            with contextlib.suppress(OSError):
                connection.client.write_eof()
        return b"" if self in connection.marks else data


class Swallowed(Toxic):
    """The answer to a request whose head begins like this never comes: reset after the server has done it."""

    def __init__(self, request: bytes) -> None:
        super().__init__()
        self._request = re.compile(request)

    async def passes(self, connection: Connection, way: Way, data: bytes) -> bytes:
        """Everything but the first bytes of that answer."""
        if way == "up" and re.match(rb"[A-Z]+ /", data):
            connection.marks[self] = int(bool(self._request.match(data)))
        elif way == "down" and connection.marks.get(self) and data.startswith(b"HTTP/1.1 2"):
            self.hits += 1
            raise Cut
        return data

    def healed(self, connection: Connection) -> None:
        """What was not cut has lost nothing."""


class Hold(Toxic):
    """Stops everything at one point of the first request whose piece matches, until `release`.

    Way up: before its first byte, or so many bytes past its head. Way down: before the first byte of its answer.
    """

    def __init__(self, way: Way, request: bytes, *, past_head: int | None = None) -> None:
        super().__init__()
        self._way, self._request, self._past_head = way, re.compile(request, re.DOTALL), past_head
        self._passed = 0
        self.reached, self.freed = asyncio.Event(), asyncio.Event()

    async def passes(self, connection: Connection, way: Way, data: bytes) -> bytes:
        """All of it, once it may; a piece that holds both sides of the point is split there."""
        if way == "up" and not self.hits and self._request.match(data):
            connection.marks[self] = data.find(b"\r\n\r\n") + 4 + (self._past_head or 0)
        if self.hits or self not in connection.marks or way != self._way or data.startswith(CONTINUE):
            return data
        cut = 0 if self._past_head is None else connection.marks[self] - self._passed
        if cut > len(data):
            self._passed += len(data)
            return data
        self.hits += 1
        if cut:
            connection.server.write(data[:cut])
        self.reached.set()
        await self.freed.wait()
        return data[cut:]

    def release(self) -> None:
        """Let it go on."""
        self.freed.set()

    def healed(self, connection: Connection) -> None:
        """Nothing was lost; whatever is held goes on."""
        self.release()


class FaultProxy:
    """`async with FaultProxy(port)` listens on a loopback port of its own in front of that one."""

    def __init__(self, target: int) -> None:
        self._target = target
        self.port = 0
        self.toxics: list[Toxic] = []
        self.connections: set[Connection] = set()

    @contextlib.contextmanager
    def toxic(self, toxic: Toxic) -> Iterator[Toxic]:
        """The fault lasts as long as the block."""
        self.toxics.append(toxic)
        try:
            yield toxic
        finally:
            self.toxics.remove(toxic)
            for connection in set(self.connections):
                toxic.healed(connection)

    def reset_all(self) -> int:
        """RST on every connection that there is; how many there were."""
        there = set(self.connections)
        for connection in there:
            connection.reset()
        return len(there)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        self.reset_all()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server = await asyncio.open_connection("127.0.0.1", self._target)
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
        """Until one side ends its half; the other half may go on."""
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
