"""Small nodes that hold uploads, and phones that leave and come back, for the tests of the balancer.

A node keeps an upload as the real ones do: under a name that begins with the hash of its own id, with the bytes that
came before the connection ended.
"""

import asyncio
import contextlib
import fcntl
import re
import socket
import struct
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import blake2b

from tests.e2e.test_lb_harness import PATIENCE_S, Balancer, raw_node, status_of, token, until

SETTINGS = {"SNAPSURGE_LB_TICKET_SECRET": "the-secret-of-both-balancers", "SNAPSURGE_LB_SLOW_START_S": "0"}
SIZE = 300_000


@dataclass
class Holder:
    """A node: POST creates an upload, HEAD tells its offset, PATCH appends, all others get its name.

    Its check passes while it is `ready`.
    """

    name: str
    port: int = 0
    ready: bool = True
    uploads: dict[str, int] = field(default_factory=dict)
    ended: asyncio.Event = field(default_factory=asyncio.Event)  # A body was cut.
    heads: list[bytes] = field(default_factory=list)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    @property
    def hint(self) -> str:
        """The hash of its id."""
        return blake2b(self.name.encode(), digest_size=8).hexdigest()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                method, target, _ = head.decode().split(" ", 2)
                length = int((re.findall(r"(?i)\r\ncontent-length: (\d+)", head.decode()) or ["0"])[0])
                answer = await self._answer(method, target, length, reader, writer)
                writer.write(f"HTTP/1.1 {answer}X-Node: {self.name}\r\nContent-Length: 0\r\n\r\n".encode())

    async def _answer(
        self, method: str, target: str, length: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> str:
        if method == "POST":
            target = f"/v1/uploads/{self.hint}.{len(self.uploads)}"
            self.uploads[target] = 0
            writer.write(f"HTTP/1.1 104 Upload Resumption Supported\r\nLocation: {target}\r\n\r\n".encode())
        if target == "/readyz":
            return "200 OK\r\n" if self.ready else "503 Service Unavailable\r\n"
        if target not in self.uploads:
            return "404 Not Found\r\n"
        while length:
            try:
                piece = await reader.read(min(length, 65536))
            except ConnectionError:  # A killed balancer may end by a reset.
                piece = b""
            self.uploads[target] += len(piece)
            length -= len(piece)
            if not piece:
                self.ended.set()
                raise asyncio.IncompleteReadError(b"", length)
        return f"200 OK\r\nUpload-Offset: {self.uploads[target]}\r\n"

    def die(self) -> None:
        """Close all connections, as the kernel does for a killed process; it is not listening any more."""
        for writer in self.writers:
            writer.transport.abort()


@asynccontextmanager
async def holder(name: str) -> AsyncIterator[Holder]:
    """Run one on a free port."""
    found = Holder(name)
    async with raw_node(found) as found.port:
        yield found


class Phone:
    """A raw connection of one user."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, user: str) -> None:
        self.reader, self.writer, self.user = reader, writer, user

    async def begin(self, *fields: str, sent: int, size: int = SIZE) -> tuple[str, bytes]:
        """Create an upload and send the first `sent` bytes in small pieces; returns its path and the 104."""
        await self.ask("POST /v1/moments/m/posts", *fields, f"Content-Length: {size}")
        head = await self.reader.readuntil(b"\r\n\r\n")
        assert status_of(head) == 104
        await self.send(sent)
        return head.decode().split("Location: ")[1].split("\r\n")[0], head

    async def send(self, count: int) -> None:
        """Send so many bytes of the body in small pieces."""
        for at in range(0, count, 1400):
            self.writer.write(b"x" * min(1400, count - at))
            await self.writer.drain()
            await asyncio.sleep(0)

    async def ask(self, line: str, *fields: str) -> None:
        """Send a head."""
        lines = (f"{line} HTTP/1.1", "Host: a", f"Authorization: {token(self.user)}", *fields)
        self.writer.write("".join(f"{one}\r\n" for one in (*lines, "")).encode())
        await self.writer.drain()

    async def told(self, line: str, *fields: str, body: bytes = b"") -> tuple[int, str, bytes]:
        """Status, node and head of the answer."""
        await self.ask(line, *fields, *([f"Content-Length: {len(body)}"] if body else []))
        self.writer.write(body)
        head = await self.reader.readuntil(b"\r\n\r\n")
        node = re.findall(r"X-Node: (\w+)", head.decode())
        return status_of(head), node[0] if node else "", head

    async def leave(self, *, reset: bool) -> None:
        """End the connection, by FIN or by RST, when the balancer's kernel has acknowledged what was sent."""
        fd = self.writer.get_extra_info("socket").fileno()

        async def acknowledged() -> bool:
            return not any(fcntl.ioctl(fd, termios.TIOCOUTQ, bytes(4)))

        await until(acknowledged)
        if reset:
            linger = struct.pack("ii", 1, 0)
            self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.writer.transport.abort()
        else:
            self.writer.close()


@asynccontextmanager
async def phone(lb: Balancer, user: str = "u") -> AsyncIterator[Phone]:
    """Connect."""
    reader, writer = await asyncio.open_connection("127.0.0.1", lb.port)
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield Phone(reader, writer, user)
    finally:
        writer.close()
