"""Landing over real sockets: the rest of a body into its buffer, and the connection good for the next request."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvloop
from aiohttp import web

from ingest.answering import malformed
from ingest.body.doorway import listening
from ingest.body.landing import discard

from .landings import FIELDS, answer, head, serving


async def two_bodies_and_a_pipelined_request() -> None:
    """The story of the test below, on whichever loop."""
    async with serving() as (reader, writer, _):
        for length in (3_000_000, 300_000):
            writer.write(head(length) + b"x" * 10)
            await writer.drain()
            writer.write(b"x" * (length - 10) + b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert await answer(reader) == (200, str(length))
            assert await answer(reader) == (200, "0")


async def test_not_a_byte_more_than_the_body_is_read() -> None:
    """A body, a request right behind it, and the same again: each is answered, in order, on one connection."""
    await two_bodies_and_a_pipelined_request()


def test_it_lands_on_uvloop_too() -> None:
    """The loop that nodes run on reads by other rules."""
    uvloop.run(two_bodies_and_a_pipelined_request())


async def test_a_refused_body_is_read_to_its_end_and_the_connection_goes_on() -> None:
    """The sink refuses early: the answer comes, what is left is thrown away, the next request is served."""
    async with serving(bad_at=1000) as (reader, writer, begun):
        length = 600_000
        writer.write(head(length) + b"x" * 2)
        await begun.wait()
        writer.write(b"x" * 50_000)
        assert await answer(reader) == (400, "ValueError")
        writer.write(b"x" * (length - 50_002) + b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await answer(reader) == (200, "0")


@asynccontextmanager
async def refusing() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to a server that wants nobody's body, and would wait for it for ever."""

    async def handler(request: web.Request) -> web.Response:
        discard(request)
        return web.Response(status=400, text="no")

    app = web.Application()
    app.router.add_route("*", "/", handler)
    async with listening(web.AppRunner(app, access_log=None, lingering_time=1e6), "127.0.0.1", 0, malformed) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        yield reader, writer
        writer.close()


@pytest.mark.parametrize("early", [0, 10, 200_000])
async def test_a_body_that_nobody_wants_is_read_to_its_end_and_the_connection_goes_on(early: int) -> None:
    """Whatever had come of it when it was refused, all of it too: the answer first, then the next request's."""
    async with refusing() as (reader, writer):
        writer.write(head(200_000) + b"x" * early)
        assert await answer(reader) == (400, "no")
        writer.write(b"x" * (200_000 - early) + b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await answer(reader) == (400, "no")


async def test_nothing_waits_for_a_refused_client_that_has_gone() -> None:
    """The server's task for the connection ends with it, though the body never came."""
    async with refusing() as (reader, writer):
        before = asyncio.all_tasks()
        writer.write(head(200_000) + b"x")
        assert await answer(reader) == (400, "no")
        assert len(asyncio.all_tasks()) == len(before)
        writer.transport.abort()
        async with asyncio.timeout(10):
            while len(asyncio.all_tasks()) >= len(before):  # noqa: ASYNC110 - the loop has to turn a few times
                await asyncio.sleep(0)


async def wakes_for(pieces: int) -> int:
    """How often a body of so many pieces of 1,000 bytes, each sent when the one before has come, is looked at."""
    async with serving() as (reader, writer, begun):
        writer.write(head(pieces * 1000))
        await begun.wait()
        for _ in range(pieces):
            writer.write(b"x" * 1000)
            for _ in range(5):
                await asyncio.sleep(0)
        looks = int((await reader.readuntil(b"\r\n\r\n")).split(b"Looks: ")[1].split(b"\r\n")[0])
        assert await reader.readexactly(6) == b"%d" % (pieces * 1000)
    return looks


def test_a_trickle_does_not_wake_us_for_every_piece() -> None:
    """Two hundred pieces are looked at a dozen times, the last of them at once."""
    assert uvloop.run(wakes_for(200)) <= 12


@pytest.mark.parametrize("sent", [1, 50_000])
async def test_a_client_that_goes_is_heard_of(sent: int) -> None:
    """The connection ends in the body: the handler ends, and the server closes without waiting."""
    async with serving() as (reader, writer, begun):
        writer.write(head(200_000) + b"x" * sent)
        await begun.wait()
        writer.write_eof()
        assert await reader.read() == b""


@pytest.mark.parametrize("end", ["whole", "bad", "slow", "cut"])
async def test_the_sink_is_free_when_the_upload_is(end: str) -> None:
    """However it ends: nothing waits for the collector, for a burst of what fails would fill the memory meanwhile."""
    gc.collect()
    gc.disable()
    try:
        late = end == "slow"
        async with serving(bad_at=10 if end == "bad" else None, due=lambda _: 0.0 if late else 1e12) as connected:
            reader, writer, begun = connected
            writer.write(head(100_000))
            await begun.wait()
            writer.write(b"x" * (50_000 if end == "cut" else 100_000))
            if end == "cut":
                await writer.drain()
                writer.transport.abort()
            else:
                await answer(reader)
        assert FIELDS[-1]() is None
    finally:
        gc.enable()
