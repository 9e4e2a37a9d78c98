"""Interim answers (103, 104, 100) pass every hop: before, during and after the body, alone and several at once.

The node plays what the request's path names. One client connection takes all requests of a run, and one node
connection must serve them: an answer that was preceded by interim ones leaves both as reusable as any other.
"""

import asyncio
import contextlib
import ssl
from pathlib import Path

import pytest

from tests.certificates import made_certificate, trusting
from tests.e2e.test_lb_harness import PATIENCE_S, balancer, raw_node, talk

pytestmark = pytest.mark.e2e

PLACE = b"Location: /v1/uploads/0123456789abcdef.x\r\nUpload-Draft-Interop-Version: 8\r\n"
CREATED = b"HTTP/1.1 104 Upload Resumption Supported\r\n" + PLACE + b"\r\n"
OFFSET = b"HTTP/1.1 104 Upload Resumption Supported\r\nUpload-Offset: %d\r\n\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
FINAL = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok"
SIZE = 60_000
HALF = SIZE // 2

# What the node writes before the body, at its half and at its end.
SCRIPTS: dict[str, tuple[bytes, bytes, bytes]] = {
    "none": (b"", b"", FINAL),
    "one": (CREATED, b"", FINAL),
    "two": (CREATED + OFFSET % 0, b"", FINAL),
    "hints": (HINTS + CREATED, b"", FINAL),
    "continue": (CREATED + CONTINUE, b"", FINAL),
    "continue-first": (CONTINUE + CREATED, b"", FINAL),
    "during": (b"", OFFSET % HALF, FINAL),
    "after": (b"", b"", OFFSET % SIZE + FINAL),
    "all": (HINTS + CREATED + CONTINUE, OFFSET % HALF + HINTS, OFFSET % SIZE + HINTS + FINAL),
    "many": (OFFSET % 0 * 2000, b"", OFFSET % SIZE * 2000 + FINAL),
}


class Player:
    """A node; `connections` counts those that brought a request, `bytewise` writes each byte by itself."""

    def __init__(self, *, bytewise: bool = False) -> None:
        self.connections = 0
        self._bytewise = bytewise

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        first = True
        while head := await self._head(reader):
            self.connections += first
            first = False
            before, half, after = SCRIPTS[head.split(b" ")[1][1:].decode()]
            await self._say(writer, before)
            await reader.readexactly(HALF)
            await self._say(writer, half)
            await reader.readexactly(SIZE - HALF)
            await self._say(writer, after)

    @staticmethod
    async def _head(reader: asyncio.StreamReader) -> bytes:
        with contextlib.suppress(asyncio.IncompleteReadError):
            return await reader.readuntil(b"\r\n\r\n")
        return b""

    async def _say(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        for piece in (data[at : at + 1] for at in range(len(data))) if self._bytewise and len(data) < 5000 else [data]:
            writer.write(piece)
            await writer.drain()
            if self._bytewise:
                await asyncio.sleep(0)


async def plays(port: int, names: list[str], context: ssl.SSLContext | None = None) -> None:
    """One connection: each script in turn, and the client goes on only when it has what the node said so far."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, limit=2**20)
    async with asyncio.timeout(4 * PATIENCE_S):  # a balancer may wait a second for more of each half
        for name in names:
            before, half, after = SCRIPTS[name]
            expect = b"Expect: 100-continue\r\n" if CONTINUE in before else b""
            writer.write(
                b"POST /%b HTTP/1.1\r\nHost: a\r\n%bContent-Length: %d\r\n\r\n" % (name.encode(), expect, SIZE)
            )
            assert await reader.readexactly(len(before)) == before
            await send(writer, HALF)
            assert await reader.readexactly(len(half)) == half, name
            await send(writer, SIZE - HALF)
            interim = after.removesuffix(FINAL)
            assert await reader.readexactly(len(interim)) == interim, name
            final = await reader.readuntil(b"\r\n\r\n") + await reader.readexactly(2)
            assert final.startswith(b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n"), name
            assert b"\r\nConnection:" not in final
            assert final.endswith(b"\r\n\r\nok"), name
    writer.close()
    with contextlib.suppress(ssl.SSLError, ConnectionError):
        await writer.wait_closed()


async def send(writer: asyncio.StreamWriter, count: int) -> None:
    """In the small pieces of a slow phone, so that the balancer waits for more than one of them."""
    for at in range(0, count, 1000):
        writer.write(b"x" * min(1000, count - at))
        await writer.drain()
        await asyncio.sleep(0)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("bytewise", [False, pytest.param(True, marks=pytest.mark.long)])
async def test_interim_answers_pass_every_hop(bytewise: bool) -> None:  # noqa: FBT001 - a parameter of pytest
    """Through one balancer and through two, unchanged, in order, on kept connections at both sides."""
    for hops in (1, 2):
        node = Player(bytewise=bytewise)
        async with raw_node(node) as port, balancer(("a", port)) as inner, balancer(("a", inner.port)) as outer:
            await plays((inner, outer)[hops - 1].port, [*SCRIPTS, *SCRIPTS])
            assert node.connections == 1
            rows = await inner.admin_json()
        assert len(rows) == 1


async def test_interim_answers_pass_over_tls(tmp_path: Path) -> None:
    """As without it."""
    cert, key = made_certificate(tmp_path)
    node = Player()
    async with raw_node(node) as port, balancer(("a", port), extra=("--tls-cert", cert, "--tls-key", key)) as lb:
        await plays(lb.port, [*SCRIPTS, *SCRIPTS], trusting())
        assert node.connections == 1


async def test_a_client_of_http_1_0_gets_the_final_answer_alone() -> None:
    """RFC 9110 section 15.2: a server must not send 1xx to an HTTP/1.0 client."""
    node = Player()
    async with raw_node(node) as port, balancer(("a", port)) as lb:
        for name in SCRIPTS:
            head = b"POST /%b HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % (name.encode(), SIZE)
            answer = await talk(lb.port, head + b"x" * SIZE)
            assert answer.count(b"HTTP/1.1 ") == 1, name
            assert answer.startswith(b"HTTP/1.1 201 "), name
        assert node.connections == 1
