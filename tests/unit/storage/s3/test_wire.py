"""The wire: answers in pieces, connections used again and not beyond their number, silence."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from storage.s3.wire import BROKEN_S_MAX, IDLE_S_MAX, Wires

SILENCE_S = 0.2
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def wires_to(
    serve: Serve, *, connections_max: int = 2, broke: Callable[[], None] = lambda: None, steady: bool = False
) -> AsyncIterator[Wires]:
    """Wires to such a server."""
    serving: list[asyncio.Task[None] | None] = []

    async def handled(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(asyncio.current_task())
        with contextlib.suppress(ConnectionError):
            await serve(reader, writer)
            await writer.wait_closed()

    server = await asyncio.start_server(handled, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    slots = asyncio.Semaphore(connections_max)
    wires = Wires("127.0.0.1", port, None, slots, connect_timeout_s=2, broke=broke, steady=steady)
    try:
        yield wires
    finally:
        wires.close()
        server.close()
        await asyncio.gather(*(task for task in serving if task))


def answering(*answers: bytes, byte_by_byte: bool = False) -> Serve:
    """Each connection answers each line it gets by the next of these."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for said in answers:
            if not await reader.readline():
                break
            for at in range(len(said)) if byte_by_byte else ():
                writer.write(said[at : at + 1])
                await writer.drain()
                await asyncio.sleep(0)
            if not byte_by_byte:
                writer.write(said)
        writer.close()

    return serve


@pytest.mark.parametrize(
    ("said", "body", "measured"),
    [
        (b"HTTP/1.1 200 OK\r\nA: b\r\ncontent-length: 5\r\n\r\nhello", b"hello", True),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", b"hi", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"", True),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", b"until the end", False),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
    ],
)
@pytest.mark.parametrize("slowly", [False, True])
async def test_an_answer_is_heard_whole(said: bytes, body: bytes, *, measured: bool, slowly: bool) -> None:
    """By its length, after an interim one, by its last chunk, by the connection's end; in one piece or in many."""
    async with wires_to(answering(said, byte_by_byte=slowly)) as wires:
        heard = await wires.ask([b"one\n"], now=0.0, silence_s=5.0)

    assert (heard.status, heard.body) == (int(said.rsplit(b"HTTP/1.1 ")[-1][:3]), body)
    assert heard.measured is measured


async def test_a_large_answer_is_heard_whole_and_one_cut_short_is_an_error() -> None:
    """Of three megabytes every byte; where the connection ends before its length, not the part that came."""
    head, body = b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n", bytes(range(250)) * 12_000
    async with wires_to(answering(head + body)) as wires:
        assert (await wires.ask([b"one\n"], now=0.0, silence_s=5.0)).body == body
    async with wires_to(answering(head + body[:-1])) as wires:
        with pytest.raises(ConnectionError):
            await wires.ask([b"one\n"], now=0.0, silence_s=5.0)


async def test_an_answer_to_head_has_no_body_and_keeps_its_connection() -> None:
    """Its length is that of the object; the next request goes the same way."""
    said = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    async with wires_to(answering(said, said + b"hello")) as wires:
        assert (await wires.ask([b"one\n"], now=0.0, silence_s=5.0, head_only=True)).body == b""
        assert (await wires.ask([b"one\n"], now=0.0, silence_s=5.0)).body == b"hello"


async def test_a_connection_is_used_again_unless_it_was_closed() -> None:
    """Two requests on one; a `Connection: close` and a close unasked each cost a new one and no error."""
    opened: list[int] = []
    fine, last = (
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    )

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(len(opened))
        await answering(*([fine, fine] if len(opened) == 1 else [last]))(reader, writer)

    async with wires_to(serve) as wires:
        for _ in range(4):
            assert (await wires.ask([b"one\n"], now=0.0, silence_s=5.0)).status == 200

    assert len(opened) == 3


async def test_no_more_connections_than_allowed() -> None:
    """Eight requests at once over two connections, all answered."""
    open_now, most = 0, 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        await answering(*[b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"] * 8)(reader, writer)
        open_now -= 1

    async with wires_to(serve) as wires:
        await asyncio.gather(*(wires.ask([b"one\n"], now=0.0, silence_s=5.0) for _ in range(8)))

    assert most == 2


async def test_silence_is_a_timeout_and_rubbish_a_broken_connection() -> None:
    """A server that listens and says nothing; one that speaks something else."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with wires_to(silent) as wires:
        with pytest.raises(TimeoutError, match=r"silent for 0\.05 s"):
            await wires.ask([b"one\n"], now=0.0, silence_s=0.05)
    async with wires_to(answering(b"SSH-2.0 hello\r\n\r\n")) as wires:
        with pytest.raises(ConnectionError, match=r"not HTTP/1\.1"):
            await wires.ask([b"one\n"], now=0.0, silence_s=5.0)
    async with wires_to(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n12")) as wires:
        with pytest.raises(ConnectionError, match="more than it announced"):
            await wires.ask([b"one\n"], now=0.0, silence_s=5.0)


async def test_an_answer_before_buys_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request on a used connection times out after one period of silence, as on a new one."""
    loop, periods = asyncio.get_running_loop(), 0
    call_later = loop.call_later

    def counted(delay: float, *call: Any, **options: Any) -> asyncio.TimerHandle:
        nonlocal periods
        periods += delay == SILENCE_S
        return call_later(delay, *call, **options)

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await reader.read()
        writer.close()

    monkeypatch.setattr(loop, "call_later", counted)
    async with wires_to(once) as wires:
        await wires.ask([b"one\n"], now=0.0, silence_s=SILENCE_S)
        periods = 0
        with pytest.raises(TimeoutError):
            await wires.ask([b"two\n"], now=0.0, silence_s=SILENCE_S)

    assert periods == 1


async def test_a_store_that_speaks_slowly_is_not_silent() -> None:
    """Each piece of an answer, and each that it takes of a request, buys another while."""

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        for piece in (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n", *[b"x"] * 6):
            writer.write(piece)
            with contextlib.suppress(TimeoutError):  # the client says no more, so this is a pause
                await asyncio.wait_for(reader.readline(), 0.1)
        writer.close()

    async with wires_to(slow) as wires:
        assert (await wires.ask([b"one\n"], now=0.0, silence_s=0.3)).body == b"xxxxxx"


async def test_a_connection_that_was_long_idle_is_not_used_again() -> None:
    """Networks drop such connections without telling; one that was used a moment ago is used again."""
    opened = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened
        opened += 1
        await answering(*[b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"] * 9)(reader, writer)

    async with wires_to(serve) as wires:
        for now, connections in ((0.0, 1), (IDLE_S_MAX - 1, 1), (2 * IDLE_S_MAX - 2, 1), (3 * IDLE_S_MAX, 2)):
            await wires.ask([b"one\n"], now=now, silence_s=5.0)
            assert opened == connections


FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    ("answers", "idle_s", "told"),
    [
        ([b""], 0.0, True),  # in the middle of a request
        ([FINE], 0.0, True),  # idle for less than any server waits
        ([FINE], BROKEN_S_MAX + 1, False),  # idle for so long that servers end it
        ([FINE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")], 0.0, False),
    ],
)
async def test_a_connection_that_the_server_ends_without_need_is_told(
    answers: list[bytes], idle_s: float, *, told: bool
) -> None:
    """It was restarted, or cut off."""
    heard: list[str] = []
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(answers[0])
        if answers[0]:
            await ended.wait()
        writer.close()

    async with wires_to(serve, broke=lambda: heard.append("broke")) as wires:
        now = asyncio.get_running_loop().time() - idle_s
        with contextlib.suppress(ConnectionError):
            await wires.ask([b"one\n"], now=now, silence_s=5.0)
        idle = list(wires._idle)
        ended.set()
        async with asyncio.timeout(10):
            while any(wire.usable for wire in idle):
                await asyncio.get_running_loop().run_in_executor(None, lambda: None)

    assert heard == ["broke"] * told


@pytest.mark.parametrize("steady", [False, True])
async def test_a_change_is_not_sent_again_to_a_server_that_may_be_another(*, steady: bool) -> None:
    """The server ended the idle connection, and the loop has not yet heard of it."""
    async with wires_to(answering(FINE), steady=steady) as wires:
        await wires.ask([b"one\n"], now=asyncio.get_running_loop().time(), silence_s=5.0)
        (wire,) = wires._idle
        wire._transport.abort()
        change = wires.ask([b"two\n"], now=asyncio.get_running_loop().time(), silence_s=5.0, writes=True)
        if steady:
            with pytest.raises(ConnectionError):
                await change
        else:
            assert (await change).status == 200
