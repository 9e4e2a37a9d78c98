"""Chunked bodies over real sockets: landed past aiohttp, discarded, given to aiohttp, and the connection good after."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvloop
from aiohttp import web

from ingest.answering import malformed
from ingest.body.chunks import BadChunks
from ingest.body.doorway import doorway_of, listening
from ingest.body.landing import BodyTooLong, Landing, discard, finish
from ingest.body.pace import Pace

HEAD = b"POST %b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
BYTES_MAX = 1_000_000


class Sink:
    """Keeps what lands."""

    def __init__(self) -> None:
        self.data, self.count = bytearray(BYTES_MAX), 0

    def room(self) -> memoryview:
        """Behind what came."""
        return memoryview(self.data)[self.count :]

    def landed(self, count: int) -> None:
        """Count it."""
        self.count += count


async def landed(request: web.Request) -> web.Response:
    """Say how a chunked body came, and how many of its bytes were `x`."""
    doorway, sink = doorway_of(request), Sink()
    if doorway is None or doorway.unparsed is None:
        body = await request.read()
        return web.Response(text=f"aiohttp {body.count(b'x')}")
    try:
        pace = Pace(asyncio.get_running_loop().time(), grace_s=1e6, stall_s=1e6, rate=1)
        await Landing(request, sink, pace, bytes_max=BYTES_MAX).run()
    except (BadChunks, BodyTooLong, ConnectionError) as error:
        return web.Response(status=400, text=type(error).__name__)
    return web.Response(text=f"landed {sink.data[: sink.count].count(b'x')}")


async def refused(request: web.Request) -> web.Response:
    """Nobody wants the body."""
    discard(request)
    return web.Response(status=400, text="no")


async def read(request: web.Request) -> web.Response:
    """A handler that reads through aiohttp."""
    doorway = doorway_of(request)
    assert doorway is not None
    doorway.release()
    return web.Response(text=f"read {(await request.read()).count(b'x')}")


async def hello(_: web.Request) -> web.Response:
    """A handler that reads no body."""
    return web.Response(text="hello")


@web.middleware
async def ending(request: web.Request, handler) -> web.StreamResponse:  # noqa: ANN001 - aiohttp's
    """As `answering.py` does."""
    try:
        return await handler(request)
    finally:
        finish(request)


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to a server with these handlers."""
    app = web.Application(middlewares=[ending])
    app.router.add_post("/land", landed)
    app.router.add_post("/refuse", refused)
    app.router.add_post("/read", read)
    app.router.add_post("/ignore", hello)
    app.router.add_get("/", hello)
    async with listening(web.AppRunner(app, access_log=None, lingering_time=1e6), "127.0.0.1", 0, malformed) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        async with asyncio.timeout(20):
            yield reader, writer
        writer.close()


async def answer(reader: asyncio.StreamReader) -> tuple[int, str]:
    """Status and text of one answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return int(head.split()[1]), (await reader.readexactly(length)).decode()


def chunked(length: int, size: int) -> bytes:
    """A body of `x` in chunks of this size."""
    body = b"x" * length
    parts = (body[at : at + size] for at in range(0, length, size))
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\nA: b\r\n\r\n"


@pytest.mark.parametrize(
    ("head", "status", "code", "allow"),
    [
        (b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n", 405, "method-not-allowed", True),
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400, "bad-request", False),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad-request", False),
    ],
    ids=["method", "field", "length"],
)
async def test_a_head_that_is_no_request_gets_a_problem(head: bytes, status: int, code: str, *, allow: bool) -> None:
    """aiohttp refuses it before any handler: the answer has the form of all others, and the connection ends."""
    async with serving() as (reader, writer):
        writer.write(head)
        fields, _, body = (await reader.read()).partition(b"\r\n\r\n")
    problem = json.loads(body)
    assert (int(fields.split()[1]), problem["status"], problem["code"]) == (status, status, code)
    assert b"Content-Type: application/problem+json" in fields
    assert b"X-Content-Type-Options: nosniff" in fields
    assert f"X-Request-Id: {problem['request_id']}".encode() in fields
    assert (b"\r\nAllow: " in fields) == allow


async def bodies_and_pipelined_requests() -> None:
    """Bodies in chunks of each size, with a request right behind each, on one connection."""
    async with serving() as (reader, writer):
        for length, size in ((900_000, 300_000), (200_000, 32_768), (30_000, 7), (100_000, 20_000), (5, 5)):
            body = chunked(length, size)
            writer.write(HEAD % b"/land" + body[:10])
            await writer.drain()
            writer.write(body[10:] + HEAD % b"/land" + chunked(3, 1))
            assert await answer(reader) == (200, f"landed {length}")
            assert await answer(reader) == (200, "landed 3")


async def test_a_chunked_body_lands() -> None:
    """To its last byte, whatever the chunks; what follows is a request, and lands too."""
    await bodies_and_pipelined_requests()


def test_it_lands_on_uvloop_too() -> None:
    """The loop that nodes run on."""
    uvloop.run(bodies_and_pipelined_requests())


@pytest.mark.parametrize("early", [0, 7, 100_000])
async def test_a_refused_chunked_body_is_read_to_its_end(early: int) -> None:
    """The answer comes first; the next request is served on the same connection."""
    async with serving() as (reader, writer):
        body = chunked(200_000, 1000)
        writer.write(HEAD % b"/refuse" + body[:early])
        assert await answer(reader) == (400, "no")
        writer.write(body[early:] + GET)
        assert await answer(reader) == (200, "hello")


async def test_another_handler_reads_through_aiohttp() -> None:
    """What was held, and what comes later."""
    async with serving() as (reader, writer):
        body = chunked(100_000, 1000)
        writer.write(HEAD % b"/read" + body[:5000])
        await writer.drain()
        writer.write(body[5000:] + GET)
        assert await answer(reader) == (200, "read 100000")
        assert await answer(reader) == (200, "hello")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"5\r\nxxxxxx\r\n", "BadChunks"),
        (b"5\r\nxxxxx\r\nz\r\n", "BadChunks"),
        (chunked(BYTES_MAX + 1, 65_536), "BodyTooLong"),
        (chunked(BYTES_MAX + 1, BYTES_MAX + 1), "BodyTooLong"),
    ],
)
async def test_a_bad_body_is_refused(body: bytes, error: str) -> None:
    """Malformed chunks end the connection, because nobody knows where the next request begins."""
    async with serving() as (reader, writer):
        writer.write(HEAD % b"/land" + body + GET)
        assert await answer(reader) == (400, error)
        if error == "BadChunks":
            assert await reader.read() == b""
        else:
            assert await answer(reader) == (200, "hello")


async def test_the_longest_body_is_taken() -> None:
    """The limit itself."""
    async with serving() as (reader, writer):
        writer.write(HEAD % b"/land" + chunked(BYTES_MAX, 65_536))
        assert await answer(reader) == (200, f"landed {BYTES_MAX}")


async def test_a_body_that_a_handler_ignores_is_discarded() -> None:
    """Its bytes are never taken for a request, and the request behind it is one."""
    async with serving() as (reader, writer):
        for _ in range(2):
            writer.write(HEAD % b"/ignore" + b"1b\r\n" + GET + b"\r\n0\r\n\r\n" + GET.replace(b"/", b"/x", 1))
            assert await answer(reader) == (200, "hello")
            assert (await answer(reader))[0] == 404


async def test_a_head_that_comes_in_pieces_goes_through_aiohttp() -> None:
    """Only where a read begins with a request for certain is anything held; afterwards it is again."""
    async with serving() as (reader, writer):
        whole = HEAD % b"/land" + chunked(50_000, 1000)
        writer.write(whole[:20])
        await writer.drain()
        for _ in range(20):  # the server reads on the same loop
            await asyncio.sleep(0)
        writer.write(whole[20:])
        assert await answer(reader) == (200, "aiohttp 50000")
    async with serving() as (reader, writer):
        writer.write(GET)
        assert await answer(reader) == (200, "hello")
        writer.write(HEAD % b"/land" + chunked(5, 5))
        assert await answer(reader) == (200, "landed 5")


async def test_a_client_that_goes_is_heard_of() -> None:
    """The connection ends inside a chunk."""
    async with serving() as (reader, writer):
        writer.write(HEAD % b"/land" + b"ffff\r\nxxx")
        await writer.drain()
        writer.write_eof()
        assert await reader.read() == b""
