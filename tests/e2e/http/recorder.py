"""A node that records what it saw, byte for byte, and the table row of a raw-socket case.

The node reads requests by its own few lines, stricter than any server: what it cannot read it records as garbage, so a
case that expects a request list fails on any stray byte. It answers 200 with its count, and keeps connections open.
"""

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from tests.e2e.test_lb_harness import PATIENCE_S, Balancer, balancer, raw_node

GARBAGE = (b"GARBAGE", b"")
LAST = b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: a\r\n"
Seen = tuple[bytes, bytes]  # method and target, body


@dataclass
class Recorder:
    """What the node saw since the last `clear`."""

    seen: list[Seen] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)
    raw: bytearray = field(default_factory=bytearray)

    def clear(self) -> None:
        """Forget it."""
        self.seen.clear()
        self.heads.clear()
        self.raw.clear()

    def field_values(self, name: bytes, index: int = 0) -> list[bytes]:
        """All values of a field in the head of one request."""
        lines = self.heads[index].split(b"\r\n")[1:]
        return [line.partition(b": ")[2] for line in lines if line.partition(b":")[0].lower() == name]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection from the balancer."""
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError as end:
                if end.partial:
                    self.seen.append(GARBAGE)
                return
            await self._request(head, reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async def _request(self, head: bytes, reader: asyncio.StreamReader) -> None:
        self.raw += head
        start = re.fullmatch(rb"([A-Za-z!#$%&'*+.^_`|~0-9-]+ [!-~]+) HTTP/1\.1", head.split(b"\r\n")[0])
        lengths = re.findall(rb"(?i)\r\ncontent-length:([^\r]*)", head)
        codings = re.findall(rb"(?i)\r\ntransfer-encoding:([^\r]*)", head)
        body = b""
        if not start or len(lengths) + len(codings) > 1 or head.count(b"\n") != head.count(b"\r\n"):
            self.seen.append(GARBAGE)
            return
        if lengths:
            body = await reader.readexactly(int(lengths[0]))
            self.raw += body
        elif codings:
            body = await self._chunks(reader)
        self.heads.append(head)
        self.seen.append((start[1], body))

    async def _chunks(self, reader: asyncio.StreamReader) -> bytes:
        body = b""
        while True:
            line = await reader.readuntil(b"\r\n")
            size = int(line, 16) if re.fullmatch(rb"[0-9a-f]+\r\n", line) else -1
            piece = await reader.readexactly(max(size, 0) + 2)
            self.raw += line + piece
            if size < 0 or not piece.endswith(b"\r\n"):
                self.seen.append(GARBAGE)
            if size <= 0:
                return body
            body += piece[:-2]


@asynccontextmanager
async def recorded(*extra: str, **environment: str) -> AsyncIterator[tuple[Recorder, Balancer]]:
    """A balancer over one recorder, with further options and settings."""
    recorder = Recorder()
    async with raw_node(recorder.serve) as port, balancer(("a", port), extra=extra, environment=environment) as lb:
        yield recorder, lb


@dataclass(frozen=True)
class Case:
    """Raw bytes, the statuses the client must read, and what the node must see (nothing, unless said)."""

    raw: bytes
    statuses: tuple[int, ...] = (400,)
    seen: tuple[Seen, ...] = ()


def passes(raw: bytes, *seen: Seen) -> Case:
    """Requests that are fine: all are answered 200."""
    return Case(raw, (200,) * len(seen), seen)


class Play(Protocol):
    """A client that sends raw bytes and reads all answers."""

    async def __call__(self, port: int, raw: bytes, *, bytewise: bool) -> bytes:
        """See `play`."""


async def play(port: int, raw: bytes, *, bytewise: bool) -> bytes:
    """Send, say no more, read to the end; byte by byte, each byte is a segment of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        async with asyncio.timeout(PATIENCE_S):
            for piece in (raw[n : n + 1] for n in range(len(raw))) if bytewise else (raw,):
                writer.write(piece)
                await asyncio.sleep(0)
            with contextlib.suppress(OSError):
                await writer.drain()
                writer.write_eof()
            return await reader.read()
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def statuses(answer: bytes) -> tuple[int, ...]:
    """The statuses of all answers on the connection; every body is counted, so none hides a status line."""
    found: list[int] = []
    while answer:
        head, end, rest = answer.partition(b"\r\n\r\n")
        assert end, head
        found.append(int(head.split(b" ")[1]))
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        answer = rest[int(length[1]) if length and found[-1] >= 200 else 0 :]
    return tuple(found)


async def check(recorder: Recorder, lb: Balancer, case: Case, *, bytewise: bool, play: Play = play) -> None:
    """Play a case and compare both sides. What comes after a refusal must reach nobody."""
    recorder.clear()
    refused = case.statuses[-1:] != (200,)
    answer = await play(lb.port, case.raw + (SMUGGLED if refused else LAST), bytewise=bytewise)
    expected = case if refused else Case(case.raw, (*case.statuses, 200), (*case.seen, (b"GET /last", b"")))
    assert statuses(answer) == expected.statuses
    assert tuple(recorder.seen) == expected.seen
    assert b"smuggled" not in recorder.raw
