"""The faults between two tiers: toxics for a fault proxy.

They do not parse HTTP or Redis; most only compare the first bytes of a piece with what they look for.
"""

import asyncio
import contextlib
import re

from tests.faults.proxy import Connection, Cut, Toxic, Way

CONTINUE = b"HTTP/1.1 100"
SUCCESS = re.compile(rb"(?:\A|\r\n\r\n)HTTP/1\.1 2")  # also behind an interim answer in the same piece
SLOW_DOWN = (
    b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nConnection: close\r\nContent-Length: 111\r\n\r\n"
    b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code><Message>Reduce your rate</Message></Error>  '
)


class Slow(Toxic):
    """Delays every piece by a latency plus the time that its bytes need at the rate."""

    def __init__(self, seconds: float, bytes_s: float = float("inf")) -> None:
        super().__init__()
        self._seconds, self._bytes_s = seconds, bytes_s

    async def passes(self, connection: Connection, way: Way, data: bytes) -> bytes:
        """Return the whole piece after the delay."""
        self.hits += 1
        await asyncio.sleep(self._seconds + len(data) / self._bytes_s)
        return data


class Trickle(Toxic):
    """Passes bytes to the server at a steady rate, a kilobyte at a time; those to the client at once."""

    def __init__(self, bytes_s: float) -> None:
        super().__init__()
        self._bytes_s = bytes_s

    async def passes(self, connection: Connection, way: Way, data: bytes) -> bytes:
        """Write all but the last kilobyte slowly, and return that."""
        while way == "up" and len(data) > 1024:
            self.hits += 1
            connection.server.write(data[:1024])
            await asyncio.sleep(1024 / self._bytes_s)
            data = data[1024:]
        return data


class Blackhole(Toxic):
    """Drops all bytes and keeps connections open, like a half-open peer or a hung server; `ways`: the directions."""

    def __init__(self, *ways: Way) -> None:
        super().__init__()
        self._ways = ways or ("up", "down")

    async def passes(self, connection: Connection, way: Way, data: bytes) -> bytes:
        """Drop the piece."""
        if way not in self._ways:
            return data
        self.hits += 1
        connection.marks[self] = 1
        return b""


class Hole(Toxic):
    """Passes the first bytes of a larger piece and drops everything after them, as a path with a smaller MTU does.

    Small requests and small answers pass, so health checks and heads do. Nothing is closed.
    """

    def __init__(self, way: Way, size: int = 1400) -> None:
        super().__init__()
        self._way, self._size = way, size

    async def passes(self, connection: Connection, way: Way, data: bytes) -> bytes:
        """Return what fits; nothing once something did not."""
        if way != self._way:
            return data
        if self in connection.marks:
            return b""
        if len(data) > self._size:
            self.hits += 1
            connection.marks[self] = 1
        return data[: self._size]


class CutAfter(Toxic):
    """Resets each connection after a set number of bytes in one direction; 0: before the first byte."""

    def __init__(self, way: Way, size: int = 0) -> None:
        super().__init__()
        self._way, self._size = way, size

    async def passes(self, connection: Connection, way: Way, data: bytes) -> bytes:
        """Return the bytes before the cut."""
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
        """Keep the connection: one that was not reset has lost nothing."""


class Busy(Toxic):
    """Answers 503 SlowDown in place of the server to requests that begin during the fault, and drops their bodies."""

    async def passes(self, connection: Connection, way: Way, data: bytes) -> bytes:
        """Drop the pieces of a request that the proxy has answered."""
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
    """Resets a connection instead of the answer to a matching request, after the server has carried it out."""

    def __init__(self, request: bytes) -> None:
        super().__init__()
        self._request = re.compile(request)

    async def passes(self, connection: Connection, way: Way, data: bytes) -> bytes:
        """Return every piece; raise Cut at the first bytes of the answer."""
        if way == "up" and re.match(rb"[A-Z]+ /", data):
            connection.marks[self] = int(bool(self._request.match(data)))
        elif way == "down" and connection.marks.get(self) and SUCCESS.search(data):
            self.hits += 1
            raise Cut
        return data

    def healed(self, connection: Connection) -> None:
        """Keep the connection: one that was not reset has lost nothing."""


class Lost(Toxic):
    """Drops up to a set number of requests whose head matches; their clients go on waiting for the answers."""

    def __init__(self, request: bytes, count: int = 1) -> None:
        super().__init__()
        self._request, self._count = re.compile(request), count

    async def passes(self, connection: Connection, way: Way, data: bytes) -> bytes:
        """Drop all further pieces of a connection with a dropped request."""
        if way == "up" and self.hits < self._count and self._request.match(data):
            self.hits += 1
            connection.marks[self] = 1
        return b"" if self in connection.marks else data


class Late(Toxic):
    """Delays a request whose head matches for longer than its client waits."""

    def __init__(self, request: bytes, seconds: float) -> None:
        super().__init__()
        self._request, self._seconds = re.compile(request), seconds

    async def passes(self, connection: Connection, way: Way, data: bytes) -> bytes:
        """Return the whole piece after the delay."""
        if way == "up" and self._request.match(data):
            self.hits += 1
            await asyncio.sleep(self._seconds)
        return data

    def healed(self, connection: Connection) -> None:
        """Keep the connection: no bytes were lost."""


class Copied(Toxic):
    """Keeps copies of whole requests whose head matches, up to a maximum number; `send_again` sends the copies."""

    def __init__(self, request: bytes, count: int = 50) -> None:
        super().__init__()
        self._request, self._count = re.compile(request), count
        self._copies: dict[Connection, bytearray] = {}
        self.requests: list[bytes] = []

    async def passes(self, connection: Connection, way: Way, data: bytes) -> bytes:
        """Return the whole piece."""
        if way == "up" and len(self.requests) < self._count:
            if self._request.match(data):
                self._copies[connection] = bytearray()
            if (copy := self._copies.get(connection)) is not None:
                copy += data
                if len(copy) >= _length(copy):
                    self.hits += 1
                    self.requests.append(bytes(self._copies.pop(connection)))
        return data

    async def send_again(self, port: int) -> list[bytes]:
        """Send each copy on its own connection, in the same order; returns the statuses."""
        statuses = []
        for request in self.requests:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            async with asyncio.timeout(10):
                line = await reader.readline()
            statuses.append(line[9:12])
            writer.close()
        return statuses

    def healed(self, connection: Connection) -> None:
        """Keep the connection: no bytes were lost."""


def _length(request: bytes | bytearray) -> int:
    """The total length of the request by its head; more than its current length while the head is incomplete."""
    head, end, _ = bytes(request).partition(b"\r\n\r\n")
    size = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return len(head) + len(end) + int(size[1] if size else 0) if end else len(request) + 1


class Hold(Toxic):
    """Stops a connection at one point of the first matching request, until `release`.

    Direction up: before the first byte, or so many bytes after the head. Direction down: before the answer.
    """

    def __init__(self, way: Way, request: bytes, *, past_head: int | None = None) -> None:
        super().__init__()
        self._way, self._request, self._past_head = way, re.compile(request, re.DOTALL), past_head
        self._passed = 0
        self.reached, self.freed = asyncio.Event(), asyncio.Event()

    async def passes(self, connection: Connection, way: Way, data: bytes) -> bytes:
        """Return the whole piece after the release; a piece that contains the point is split there."""
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
        """Let the stopped connection go on."""
        self.freed.set()

    def healed(self, connection: Connection) -> None:
        """Release the held connection, which has lost no bytes."""
        self.release()
