"""A server of resumable uploads, interop version 8, on real sockets: as much of it as a phone sees.

It keeps what arrives of each upload in memory. Faults are switched on by name; every head that came is remembered.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from tests.unit.bench.fake_service import FakeClock

TURNS = 50  # of the event loop: enough for what was sent to be read and answered
PLACE = "/v1/uploads/0123456789abcdef.x"


class TurningClock(FakeClock):
    """Time that passes only by sleeping; meanwhile what was sent on this event loop is read and answered."""

    async def sleep(self, seconds: float) -> None:
        """Let that much time pass."""
        await super().sleep(seconds)
        for _ in range(TURNS):
            await asyncio.sleep(0)


@dataclass
class Resumable:
    """The server; numbers are how many requests a fault befalls."""

    version: str = "8"
    location: str = PLACE
    ticket: str = "from-the-104"
    silent: bool = False  # sends no 104
    shed: int = 0  # POSTs refused before their body
    forget: int = 0  # HEADs that find nothing any more
    evict: int = 0  # PATCHes that find nothing any more
    away: int = 0  # HEADs answered with 503 by a balancer
    behind: int = 0  # bytes that HEAD says too many, so that the PATCH does not fit
    refuse: int = 0  # bodies that are whole and refused with 503
    fail: int = 0  # bodies that are whole and kept, and answered with 503
    lose: int = 0  # bodies that are whole, and the connection ends instead of an answer
    close_after_head: bool = False
    heads: list[str] = field(default_factory=list)
    received: list[int] = field(default_factory=list)  # bytes of each request's body
    body: bytes = b""  # of the upload so far
    done: bytes = b""  # of the whole upload
    talking: list[asyncio.Future[None]] = field(default_factory=list)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Serve on a free port; yields the URL."""
        listening = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        async with listening:
            yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
            async with asyncio.timeout(60):
                await asyncio.gather(*self.talking)

    def methods(self) -> list[str]:
        """The methods of all requests in their order."""
        return [head.split()[0] for head in self.heads]

    def said(self, number: int, name: str) -> str | None:
        """The value of a field of a request."""
        for line in self.heads[number].split("\r\n"):
            if line.lower().startswith(name.lower() + ": "):
                return line.partition(": ")[2]
        return None

    def due(self, name: str) -> bool:
        """Whether this fault befalls this request."""
        left = getattr(self, name)
        setattr(self, name, max(0, left - 1))
        return bool(left)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.talking.append(mine)
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
                answer = await self._answer(self.heads[-1], len(self.heads) - 1, reader, writer)
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
                if self.said(len(self.heads) - 1, "Connection") == "close" or b"Connection: close" in answer:
                    break
        writer.close()
        mine.set_result(None)

    async def _answer(
        self, head: str, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bytes | None:
        method = head.split(maxsplit=1)[0]
        if method == "HEAD":
            return self._looked()
        if method == "PATCH":
            offset = int(self.said(number, "Upload-Offset") or "-1")
            if self.due("evict"):
                self.body = b""
                return b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}"
            if offset != len(self.body):
                fields = f"Upload-Complete: ?0\r\nUpload-Offset: {len(self.body)}\r\n"
                return f"HTTP/1.1 409 Conflict\r\n{fields}Content-Length: 0\r\nConnection: close\r\n\r\n".encode()
        else:
            self.body = b""
            if self.due("shed"):
                return b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            if not self.silent and self.said(number, "Upload-Draft-Interop-Version") == "8":
                told = f"Upload-Draft-Interop-Version: {self.version}\r\nLocation: {self.location}\r\n"
                told += f"Snapsurge-Ticket: {self.ticket}\r\n" if self.ticket else ""
                writer.write(f"HTTP/1.1 104 Upload Resumption Supported\r\n{told}\r\n".encode())
            if self.said(number, "Expect"):
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return await self._arrived(int(self.said(number, "Content-Length") or "0"), reader)

    async def _arrived(self, length: int, reader: asyncio.StreamReader) -> bytes | None:
        self.received.append(0)
        while self.received[-1] < length:
            data = await reader.read(length - self.received[-1])
            if not data:
                return None
            self.received[-1] += len(data)
            self.body += data
        if self.due("refuse"):
            self.body = b""
            fields = "Upload-Complete: ?1\r\nRetry-After: 0\r\nSnapsurge-Ticket: of-a-refusal\r\n"
            return f"HTTP/1.1 503 Service Unavailable\r\n{fields}Content-Length: 0\r\n\r\n".encode()
        if self.due("fail"):
            fields = f"Upload-Complete: ?0\r\nUpload-Offset: {len(self.body)}\r\nRetry-After: 2\r\n"
            fields += "Snapsurge-Ticket: of-a-failure\r\n"
            return f"HTTP/1.1 503 Service Unavailable\r\n{fields}Content-Length: 0\r\n\r\n".encode()
        self.done = self.body
        if self.due("lose"):
            return None
        body = '{"id":"p","received_at":"2026-01-01T00:00:01.000Z"}'
        return f"HTTP/1.1 201 Created\r\nUpload-Complete: ?1\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()

    def _looked(self) -> bytes:
        close = "Connection: close\r\n" if self.close_after_head else ""
        if self.due("away"):
            return b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 500\r\n\r\n"
        if self.due("forget"):
            self.body = b""
            return f"HTTP/1.1 404 Not Found\r\nContent-Length: 400\r\n{close}\r\n".encode()
        offset = len(self.body) - self.behind
        self.behind = 0
        fields = f"Upload-Draft-Interop-Version: 8\r\nUpload-Complete: ?0\r\nUpload-Offset: {offset}\r\n"
        return f"HTTP/1.1 204 No Content\r\n{fields}{close}\r\n".encode()
