"""Answers of reads over real sockets: piece by piece, no slower than the minimum rate, their place held to the end."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import uvloop
from aiohttp import web

from ingest.admission import Admission, Budget
from ingest.answering import Lifecycle, answering, malformed
from ingest.body.doorway import listening
from ingest.commits import Commits
from ingest.metrics import Metrics
from ingest.peers import Peers, networks
from ingest.read_admission import Kind, Reader, Reading, ReadLimits
from ingest.sending import PIECE_BYTES, READER, Sender

MIB = 1024 * 1024


class World:
    """A server that answers reads with so many bytes, and what it counts."""

    def __init__(self, size: int, *, grace_s: float, rate_bytes_s: int) -> None:
        self.size = size
        self.port = 0
        self.readers: list[Reader] = []
        self.reading = Reading(ReadLimits(reads_max=1000, bytes_max=10**9))
        self.metrics = Metrics(Admission(Budget(requests_max=1, bytes_max=1), Commits()))
        self.sender = Sender(self.reading, self.metrics, rate_bytes_s=rate_bytes_s, grace_s=grace_s)

    async def read(self, request: web.Request) -> web.StreamResponse:
        """An answer that holds a place."""
        reader, _ = self.reading.admit("alice", Kind.POST, 0.0)
        assert reader is not None
        request[READER] = reader
        self.readers.append(reader)
        body = bytes(range(256)) * (self.size // 256)
        self.reading.hold(reader, len(body), 0.0)
        return web.Response(body=body)

    def cut(self, why: str) -> float:
        """How many readers were disconnected for this reason."""
        return self.metrics.registry.get_sample_value("snapsurge_ingest_readers_cut_total", {"why": why}) or 0.0


@asynccontextmanager
async def world(size: int, *, grace_s: float = 1e6, rate_bytes_s: int = 1) -> AsyncIterator[World]:
    """The server, listening."""
    made = World(size, grace_s=grace_s, rate_bytes_s=rate_bytes_s)
    app = web.Application(middlewares=[answering(Lifecycle(), made.metrics, Peers(networks("")), made.sender)])
    app.router.add_get("/", made.read)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    async with listening(runner, "127.0.0.1", 0, malformed) as server:
        made.port = server.sockets[0].getsockname()[1]
        yield made


# Closed after each test, however it ended.
CLIENTS: list[socket.socket] = []


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Leave no client open."""
    yield
    while CLIENTS:
        CLIENTS.pop().close()


async def connect(port: int, method: str = "GET", times: int = 1) -> socket.socket:
    """A client with a small buffer that has asked, and reads nothing by itself."""
    client = socket.socket()
    CLIENTS.append(client)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, ("127.0.0.1", port))
    await loop.sock_sendall(client, b"%b / HTTP/1.1\r\nHost: x\r\n\r\n" % method.encode() * times)
    return client


async def settled(made: World, places: int = 0) -> None:
    """Let the loop turn until so many places are held."""
    async with asyncio.timeout(30):
        while made.reading.count(Kind.POST) != places:  # noqa: ASYNC110 - the loop has to turn
            await asyncio.sleep(0)


@pytest.mark.parametrize("size", [0, 256, PIECE_BYTES, PIECE_BYTES + 256, 3 * MIB])
async def test_an_answer_arrives_whole_and_the_connection_goes_on(size: int) -> None:
    """Whatever its length, twice on one connection; then nothing is held."""
    async with world(size) as made:
        reader, writer = await asyncio.open_connection("127.0.0.1", made.port)
        for _ in range(2):
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"Content-Length: %d\r\n" % size in head
            assert await reader.readexactly(size) == bytes(range(256)) * (size // 256)
        writer.close()
        await settled(made)
        assert made.reading.bytes == 0


async def place_held_until_the_last_byte() -> None:
    """The story of the test below, on whichever loop."""
    async with world(2 * MIB) as made:
        client = await connect(made.port)
        loop, came = asyncio.get_running_loop(), 0
        while came < 2 * MIB - PIECE_BYTES * 8:
            assert made.reading.bytes in {0, 2 * MIB} if not came else made.reading.bytes == 2 * MIB
            came += len(await loop.sock_recv(client, 32 * 1024))
        while came < 2 * MIB:
            came += len(await loop.sock_recv(client, 32 * 1024))
        await settled(made)


async def test_a_place_is_held_until_the_last_byte_is_with_the_kernel() -> None:
    """A client that takes 2 MiB slowly holds it all the while, but for what its connection's buffers hold."""
    await place_held_until_the_last_byte()


def test_so_it_is_on_uvloop() -> None:
    """The loop that nodes run on writes by other rules."""
    uvloop.run(place_held_until_the_last_byte())


async def test_a_client_that_does_not_read_is_cut_off_and_its_place_comes_back() -> None:
    """Below the minimum rate; of one that has been answered before, too."""
    async with world(3 * MIB, grace_s=0.2, rate_bytes_s=10**9) as made:
        for _ in range(5):
            await connect(made.port, times=2)
        await settled(made, 5)
        await settled(made)
        assert made.cut("too-slow") == 5
        assert made.reading.bytes == 0


async def test_a_client_at_the_minimum_rate_is_served() -> None:
    """The grace is no absolute limit: bytes that were taken buy time."""
    async with world(3 * MIB, grace_s=0.1, rate_bytes_s=1) as made:
        client, loop, came = await connect(made.port), asyncio.get_running_loop(), 0
        while came < 3 * MIB:
            came += len(await loop.sock_recv(client, 16 * 1024))
        await settled(made)
        assert made.cut("too-slow") == 0


async def test_one_that_has_to_go_is_cut_off_at_once() -> None:
    """Its place is needed: the connection ends, and the counter rises."""
    async with world(3 * MIB) as made:
        client = await connect(made.port)
        await settled(made, 1)
        (reader,) = made.readers
        async with asyncio.timeout(30):
            while reader.moved_at is None:  # noqa: ASYNC110 - the loop has to turn
                await asyncio.sleep(0)
        made.reading.release(reader)
        reader.shed()
        loop = asyncio.get_running_loop()

        async def read() -> None:
            while await loop.sock_recv(client, MIB):
                pass

        with pytest.raises(ConnectionResetError):
            await read()
        assert made.cut("shed") == 1


async def test_what_the_kernel_holds_of_an_answer_is_bounded() -> None:
    """With the client's window closed, all of it but a few pieces is still ours, and so is its place."""
    async with world(16 * MIB) as made:
        client = await connect(made.port)
        await settled(made, 1)
        for _ in range(100):
            await asyncio.sleep(0)
        assert made.reading.bytes == 16 * MIB
        taken, loop = 0, asyncio.get_running_loop()
        (reader,) = made.readers
        moved = reader.moved_at
        while reader.moved_at == moved:
            taken += len(await loop.sock_recv(client, 4096))
        assert taken <= 16 * PIECE_BYTES
        client.close()
        await settled(made)
