"""Connections on real sockets, to servers that answer byte by byte, early, chunked, wrongly or not at all."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from bench.answers import NoAnswer, Response
from bench.clock import SystemClock
from bench.connections import ANSWER_BYTES_MAX, Connections
from bench.peers.started import certificate

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n"
BODY = b"b" * 200_000
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(talk: Talk, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A server that talks so on each connection; its address."""
    talking: list[asyncio.Future[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        talking.append(mine)
        with suppress(OSError, asyncio.IncompleteReadError):
            await talk(reader, writer)
        writer.close()
        mine.set_result(None)

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with listening:
        yield f"http{'s' if tls else ''}://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        async with asyncio.timeout(60):
            await asyncio.gather(*talking)


async def request(reader: asyncio.StreamReader) -> bytes:
    """A whole request: its head."""
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(len(BODY))
    return head


async def posted(talk: Talk, *, asks: bool = False, pace: int | None = None, head: bytes = HEAD) -> Response:
    """The answer to one request, on a fresh connection."""
    async with server(talk) as target, Connections(1, SystemClock()) as connections, asyncio.timeout(60):
        return await connections.post(target, head, BODY, pace=pace, asks=asks)


async def test_an_answer_may_come_byte_by_byte_after_interim_answers() -> None:
    """And is read as one; names of headers are in lower case, of a repeated one the last counts."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        answer = b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 201 Created\r\nA-B: 1\r\na-b:  2 \r\nContent-Length: 3\r\n\r\nabc"
        for at in range(len(answer)):
            writer.write(answer[at : at + 1])
            await writer.drain()
        await reader.read()

    found = await posted(talk)

    assert (found.status, found.body, found.headers["a-b"], found.kept) == (201, b"abc", "2", True)


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", b"until the end"),
        (b"HTTP/1.0 204 No Content\r\n\r\n", b""),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n",
            b"abc0123456789",
        ),
        (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", b""),
    ],
)
async def test_every_form_of_a_body_is_read(answer: bytes, body: bytes) -> None:
    """RFC 9112, 6.3."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(answer)

    assert (await posted(talk)).body == body


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * ANSWER_BYTES_MAX,
    ],
)
async def test_what_is_no_whole_answer_is_none(answer: bytes) -> None:
    """An OSError, as for a connection that fails."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(answer)

    with pytest.raises(NoAnswer):
        await posted(talk)


async def test_an_early_answer_ends_the_sending() -> None:
    """A paced body of an hour is not sent on after a refusal."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
        await reader.read()

    assert (await posted(talk, pace=60_000)).status == 503


async def test_a_body_is_sent_when_it_was_asked_for() -> None:
    """Not before the 100, and not at all after a refusal."""
    seen: list[bytes] = []

    async def asking(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.05)
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        seen.append(await reader.readexactly(len(BODY)))
        writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")

    async def refusing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
        seen.append(await reader.read())

    assert (await posted(asking, asks=True)).status == 201
    assert (await posted(refusing, asks=True)).status == 503
    assert seen == [HEAD, BODY, b""]


async def test_connections_are_kept_between_requests_only_where_both_ends_agree() -> None:
    """Not when fresh ones are wanted, the server closes, or the request was not sent whole."""
    met: list[int] = []
    answers = iter([b"", b"Connection: close\r\n", b"", b"", b"", b""])

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        met.append(0)
        while True:
            await reader.readuntil(b"\r\n\r\n")
            met[-1] += 1
            if met == [2, 2]:
                writer.write(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
                await reader.read()
                return
            await reader.readexactly(len(BODY))
            writer.write(b"HTTP/1.1 200 OK\r\n" + next(answers) + b"Content-Length: 0\r\n\r\n")

    async with server(talk) as target, Connections(9, SystemClock(), fresh=False) as connections:
        found = [(await connections.post(target, HEAD, BODY, pace=None, asks=False)).status for _ in range(2)]
        assert (found, met) == ([200, 200], [2])
        await connections.post(target, HEAD, BODY, pace=None, asks=False)
        assert met == [2, 1]
        assert (await connections.post(target, HEAD, BODY, pace=60_000, asks=False)).status == 503
        await connections.post(target, HEAD, BODY, pace=None, asks=False)
        assert met == [2, 2, 1]
    async with server(talk) as target, Connections(9, SystemClock()) as connections:
        for _ in range(2):
            await connections.post(target, HEAD, BODY, pace=None, asks=False)
        assert met[3:] == [1, 1]


async def test_only_so_many_connections_are_open() -> None:
    """The next waits for a slot."""
    release, met = asyncio.Event(), 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal met
        met += 1
        await request(reader)
        await release.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with server(talk) as target, Connections(2, SystemClock()) as connections, asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(connections.post(target, HEAD, BODY, pace=None, asks=False))
        async with asyncio.timeout(60):
            while met < 2:  # noqa: ASYNC110 -- the server's count is the event
                await asyncio.sleep(0)
        for _ in range(100):
            await asyncio.sleep(0)
        assert met == 2
        release.set()
    assert met == 3


async def test_a_request_that_is_given_up_leaves_nothing_open() -> None:
    """Its connection is cut."""
    ended = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        with suppress(ConnectionError):
            await reader.read()
        ended.set()

    async with server(talk) as target, Connections(1, SystemClock()) as connections:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await connections.post(target, HEAD, BODY, pace=None, asks=False)
        async with asyncio.timeout(60):
            await ended.wait()


async def test_a_certificate_is_verified(tmp_path: Path) -> None:
    """One that nobody signed is refused, as an OSError."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate(tmp_path))

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with server(talk, tls) as target, Connections(1, SystemClock()) as connections:
        with pytest.raises(ssl.SSLCertVerificationError):
            await connections.post(target, HEAD, BODY, pace=None, asks=False)
