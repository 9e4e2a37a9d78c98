"""Each toxic of the fault proxy injects its fault on real sockets and counts it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.faults.proxy import FaultProxy
from tests.faults.toxics import SLOW_DOWN, Blackhole, Busy, Copied, CutAfter, Hold, Late, Lost, Slow, Swallowed

PUT = b"PUT /bucket/00/intake/m/p.zip HTTP/1.1\r\nHost: x\r\n\r\nbody"
DONE = b"HTTP/1.1 200 OK\r\n\r\n"


class Server:
    """Keeps the bytes received; answers each piece that begins a request with an interim answer and a final one."""

    def __init__(self) -> None:
        self.got = b""
        self.answer = DONE

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until the client closes it."""
        while data := await reader.read(65536):
            self.got += data
            if data.startswith((b"PUT", b"GET")):
                writer.write(self.answer)
        writer.close()

    async def has(self, data: bytes) -> None:
        """Wait until the server has received exactly these bytes."""
        async with asyncio.timeout(5):
            while self.got != data:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def proxied() -> AsyncIterator[tuple[Server, FaultProxy]]:
    """A server behind a proxy."""
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    async with listening, FaultProxy(listening.sockets[0].getsockname()[1]) as proxy:
        yield server, proxy


async def talk(proxy: FaultProxy, data: bytes, size: int = len(DONE)) -> bytes:
    """Send the data and read an answer of that size; empty when none comes within a short time."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(data)
    try:
        async with asyncio.timeout(0.5):
            return await reader.readexactly(size)
    except TimeoutError:
        return b""
    finally:
        writer.close()


async def test_without_a_toxic_it_is_a_wire() -> None:
    """Without a toxic, bytes pass unchanged in both directions."""
    async with proxied() as (server, proxy):
        assert await talk(proxy, PUT) == DONE
        assert server.got == PUT


async def test_slow_delays_and_counts() -> None:
    """A piece is delayed by the latency and by its length."""
    async with proxied() as (_, proxy):
        began = time.monotonic()
        with proxy.toxic(Slow(0.05, 10_000)) as toxic:
            assert await talk(proxy, PUT) == DONE
        assert time.monotonic() - began >= 0.1 + len(PUT + DONE) / 10_000
        assert toxic.hits == 2


async def test_a_blackhole_swallows_and_resets_once_it_is_healed() -> None:
    """There is no answer and the connection stays open; at the end it is reset, because bytes are missing."""
    async with proxied() as (server, proxy):
        with proxy.toxic(Blackhole("up")) as toxic:
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            writer.write(PUT)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await reader.read(1)
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)
        writer.close()
        assert (toxic.hits, server.got) == (1, b"")


@pytest.mark.parametrize("size", [0, 10])
async def test_a_cut_lets_exactly_so_many_bytes_through(size: int) -> None:
    """The server never gets the rest, and the client is reset."""
    async with proxied() as (server, proxy):
        cut = pytest.raises((ConnectionResetError, asyncio.IncompleteReadError))
        with proxy.toxic(CutAfter("up", size)) as toxic, cut:
            await talk(proxy, PUT)
        await asyncio.sleep(0.05)
        assert (toxic.hits, server.got) in [(1, PUT[:size]), (1, b"")]  # a reset may overtake what was sent


async def test_busy_answers_for_the_server() -> None:
    """The client gets a well-formed 503 SlowDown; the server receives nothing."""
    async with proxied() as (server, proxy):
        with proxy.toxic(Busy()) as toxic:
            assert await talk(proxy, PUT, len(SLOW_DOWN)) == SLOW_DOWN
        assert (toxic.hits, server.got) == (1, b"")
    head, _, body = SLOW_DOWN.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head


@pytest.mark.parametrize("interim", [b"", b"HTTP/1.1 104 Upload Resumption Supported\r\n\r\n"])
async def test_an_answer_is_swallowed_after_the_server_has_done_it(interim: bytes) -> None:
    """The server received the PUT and the client was reset, also with an interim answer in the same piece."""
    async with proxied() as (server, proxy):
        server.answer = interim + DONE
        with proxy.toxic(Swallowed(rb"PUT /[^ ]*/intake/")) as toxic:
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await talk(proxy, PUT)
            server.answer = DONE
            assert await talk(proxy, PUT.replace(b"PUT", b"GET")) == DONE
        assert (toxic.hits, server.got.startswith(PUT)) == (1, True)


@pytest.mark.parametrize(
    ("past_head", "before"), [(None, b""), (0, PUT[:-4]), (2, PUT[:-2])], ids=["all", "after head", "mid-body"]
)
async def test_hold_stops_a_request_at_its_point(past_head: int | None, before: bytes) -> None:
    """The bytes before the point are sent, the rest is sent after the release."""
    async with proxied() as (server, proxy):
        hold = Hold("up", rb"PUT ", past_head=past_head)
        with proxy.toxic(hold):
            async with asyncio.TaskGroup() as group:
                answer = group.create_task(talk(proxy, PUT))
                await hold.reached.wait()
                await server.has(before)
                await asyncio.sleep(0.02)
                assert server.got == before
                hold.release()
        await server.has(PUT)
        assert (answer.result(), hold.hits) == (DONE, 1)


async def test_hold_stops_an_answer() -> None:
    """The server has carried out the request, and the client has no answer before the release."""
    async with proxied() as (server, proxy):
        hold = Hold("down", rb"PUT ")
        with proxy.toxic(hold):
            async with asyncio.TaskGroup() as group:
                answer = group.create_task(talk(proxy, PUT))
                await hold.reached.wait()
                assert (server.got, answer.done()) == (PUT, False)
                hold.release()
        assert answer.result() == DONE


async def test_all_connections_can_be_reset_at_once() -> None:
    """Every connection is reset, and the number of connections is returned."""
    async with proxied() as (_, proxy):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(PUT)
        await reader.readexactly(len(DONE))
        assert proxy.reset_all() == 1
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)
        writer.close()
        assert proxy.reset_all() == 0


async def test_a_server_that_is_gone_resets_its_clients() -> None:
    """When the server cannot be reached, the proxy resets its clients."""
    async with FaultProxy(1) as proxy:
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await talk(proxy, PUT)


async def test_lost_swallows_so_many_requests_and_no_others() -> None:
    """The client gets no answer; other requests pass, and so does the next matching request."""
    async with proxied() as (server, proxy):
        with proxy.toxic(Lost(b"PUT /[^ ]*/intake/")) as toxic:
            assert await talk(proxy, b"GET / HTTP/1.1\r\n\r\n") == DONE
            assert await talk(proxy, PUT) == b""
            assert b"PUT" not in server.got
            assert await talk(proxy, PUT) == DONE
        assert toxic.hits == 1


async def test_late_delivers_what_its_client_has_given_up() -> None:
    """The server receives the request after the client has closed."""
    async with proxied() as (server, proxy):
        with proxy.toxic(Late(b"PUT ", 0.7)) as toxic:
            assert await talk(proxy, PUT) == b""
            assert server.got == b""
            await server.has(PUT)
        assert toxic.hits == 1


async def test_copied_sends_whole_requests_again() -> None:
    """A request in two pieces is kept whole and sent a second time on a new connection."""
    whole = PUT.replace(b"Host: x", b"Content-Length: 4")
    async with proxied() as (server, proxy):
        with proxy.toxic(toxic := Copied(b"PUT /[^ ]*/intake/")):
            _, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            writer.write(whole[:-2])
            await server.has(whole[:-2])
            assert toxic.requests == []
            writer.write(whole[-2:])
            await server.has(whole)
            assert await talk(proxy, b"GET / HTTP/1.1\r\n\r\n") == DONE
            writer.close()
        assert toxic.requests == [whole]
        server.got = b""
        assert await toxic.send_again(proxy.target) == [b"200"]
        assert server.got == whole
