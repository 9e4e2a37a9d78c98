"""Lets a body land where it stays: read by the kernel straight into the upload's buffer.

aiohttp hands a body out in pieces after copying each of them three times, which at 1 MB costs more than hashing it. So
a `Doorway` stands before each connection. What it reads goes in to aiohttp, little at a time, until a handler that has
decided upon a head lets the rest of the body land; then the kernel writes it into the upload's buffer and no further:
not a byte of what follows the body. aiohttp goes on with a parser that knows nothing of it. The kernel wakes us for 32
KiB or the body's end, not for each of a phone's segments (`lb` does the same; neither may import the other). A body
that was refused is read to its end and thrown away, so that its client hears why. This file knows no multipart; the one
place that touches what aiohttp keeps to itself (`_parser`) is here, and `test_landing.py` holds it to that.
"""

import asyncio
import fcntl
import socket
import sys
import termios
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Protocol, cast

from aiohttp import web
from aiohttp.http_parser import HttpRequestParser
from aiohttp.web_protocol import MAX_MSG_QUEUE_SIZE, RequestHandler, RequestPayloadError

HEAD_BYTES = 16 * 1024
SCRAP_BYTES = 64 * 1024
# So much may wait in the kernel before we are woken. In pieces of 4 KiB, a pair of 2 x 100 KB cost 1.6 ms without this,
# 1.4 with 16 KiB, 1.3 with this, and no less with twice as much.
_WAKE_BYTES = 32 * 1024
# What the kernel may hold of an answer that is not read, which it counts twice for its own cost. Left alone it takes
# 4 MiB for each connection; this is enough for 100 MB/s to a balancer half a millisecond away.
SEND_BUFFER_BYTES = 64 * 1024


class Shared:
    """Buffers of all connections of a node: what is read is handed on before anything else is read.

    `head` takes what aiohttp reads, `scrap` what nobody reads.
    """

    __slots__ = ("head", "scrap")

    def __init__(self) -> None:
        self.head = memoryview(bytearray(HEAD_BYTES))
        self.scrap = memoryview(bytearray(SCRAP_BYTES))


class BodySink(Protocol):
    """What a body lands on."""

    def room(self) -> memoryview:
        """Where the next bytes go; nothing once it has given the landing up."""

    def landed(self, count: int) -> None:
        """So many were received; whatever it raises ends the landing."""


class Doorway(asyncio.BufferedProtocol):
    """One connection: aiohttp's, but for the bodies that land."""

    __slots__ = ("handler", "landing", "shared")

    def __init__(self, handler: RequestHandler, shared: Shared) -> None:
        self.handler = handler
        self.shared = shared
        self.landing: BodyDrain | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self.handler.connection_made(transport)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """Where the next bytes go."""
        return self.landing.room() if self.landing else self.shared.head

    def buffer_updated(self, nbytes: int) -> None:
        """They are there."""
        if self.landing:
            self.landing.received(nbytes)
        else:
            self.handler.data_received(bytes(self.shared.head[:nbytes]))

    def eof_received(self) -> None:
        """The client sends no more: the connection ends, as aiohttp has it."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Cut off, or closed by us."""
        self.handler.connection_lost(exc)
        if self.landing:
            self.landing.lost(exc or ConnectionResetError("the connection ended in the body"))
            self.landing = None

    def pause_writing(self) -> None:
        """It is aiohttp that writes."""
        self.handler.pause_writing()

    def resume_writing(self) -> None:
        """The same."""
        self.handler.resume_writing()


@asynccontextmanager
async def listening(runner: web.AppRunner, host: str, port: int, backlog: int = 4096) -> AsyncIterator[asyncio.Server]:
    """Take connections, each by a doorway of its own; leaving takes no more and finishes what is under way. OSError."""
    await runner.setup()
    serve = cast("Callable[[], RequestHandler]", runner.server)
    try:
        shared, loop = Shared(), asyncio.get_running_loop()
        server = await loop.create_server(lambda: Doorway(serve(), shared), host, port, backlog=backlog)
        for listener in server.sockets:  # its connections inherit it
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        try:
            yield server
        finally:
            server.close()
    finally:
        await runner.cleanup()


class BodyDrain:
    """What is still to come of a body that nobody wants: read over itself, so that its client hears why."""

    __slots__ = ("_content", "_doorway", "_loop", "_missing")

    def __init__(self, request: web.Request, length: int) -> None:
        if request.transport is None:
            raise ConnectionResetError("the client is gone")
        self._loop = asyncio.get_running_loop()
        self._doorway = cast("Doorway", request.transport.get_protocol())
        self._content = request.content
        self._missing = length - request.content.total_bytes

    def room(self) -> memoryview:
        """Where the next bytes go: never more than the body has left."""
        return self._doorway.shared.scrap[: self._missing]

    def received(self, count: int) -> None:
        """So many bytes are in the room."""
        self._missing -= count
        if not self._missing:
            self._hand_back()

    def lost(self, error: Exception) -> None:  # noqa: ARG002 - for those who wait
        """The connection ended. aiohttp would wait ten seconds for the rest of a body that it has answered."""
        self._content.feed_eof()

    def _hand_back(self) -> None:
        """The connection is aiohttp's again; its parser was in the middle of the body, so it gets a new one."""
        handler = self._doorway.handler
        self._doorway.landing = None
        handler._parser = HttpRequestParser(  # noqa: SLF001 - see the module's docstring
            handler,
            self._loop,
            HEAD_BYTES,
            max_line_size=handler.max_line_size,
            max_headers=handler.max_headers,
            max_field_size=handler.max_field_size,
            payload_exception=RequestPayloadError,
            auto_decompress=False,
            max_msg_queue_size=MAX_MSG_QUEUE_SIZE,
        )
        self._content.feed_eof()


def discard(request: web.Request) -> None:
    """The request is answered, whatever of its body is still to come; of one that announced no length, aiohttp sees."""
    length, transport = request.content_length, request.transport
    if length is None or transport is None or request.content.is_eof():
        return
    doorway = cast("Doorway", transport.get_protocol())
    if doorway.landing is None and length > request.content.total_bytes:
        doorway.landing = BodyDrain(request, length)


class Landing(BodyDrain):
    """The rest of one request's body. `due` says until when (loop time) so many bytes more are waited for."""

    __slots__ = ("_done", "_due", "_received", "_sink", "_socket", "_timer", "_wake_bytes")

    def __init__(self, request: web.Request, sink: BodySink, due: Callable[[int], float]) -> None:
        assert request.content_length is not None  # noqa: S101 - of others aiohttp knows the end
        super().__init__(request, request.content_length)
        assert request.transport is not None  # noqa: S101 - seen just now
        self._socket: socket.socket = request.transport.get_extra_info("socket")
        self._wake_bytes = 1  # as the kernel has it
        self._sink: BodySink | None = sink
        self._received = 0
        self._due = due
        self._done: asyncio.Future[None] | None = self._loop.create_future()
        self._timer = self._loop.call_at(due(0), self._look)

    async def run(self) -> None:
        """Return when the body is there. TimeoutError, ConnectionError, or what the sink raised."""
        self._doorway.landing = self
        self._doorway.handler._parser = None  # noqa: SLF001 - the old one is of no use any more, and has its weight
        self._wake_at(min(self._missing, _WAKE_BYTES))
        try:
            if self._done:
                await self._done
        finally:
            self._timer.cancel()
            self._sink = None  # what still comes of a body that was given up is thrown away

    def room(self) -> memoryview:
        """In the sink, as long as it is wanted."""
        if self._sink and (room := self._sink.room()):
            return room
        return super().room()

    def received(self, count: int) -> None:
        """The sink's, as long as it is wanted."""
        self._received += count
        if self._sink is not None:
            try:
                self._sink.landed(count)
            except Exception as error:  # noqa: BLE001 - it is the waiting handler's
                self._sink = None
                self._end(error)
        missing = self._missing - count
        if not missing:
            self._wake_at(1)
        elif missing < self._wake_bytes:
            self._wake_at(missing)
        super().received(count)
        if not missing:
            self._end(None)

    def give_up(self, error: Exception) -> None:
        """Let the handler go on with this error; what still comes is thrown away."""
        self._sink = None
        self._end(error)

    def lost(self, error: Exception) -> None:
        """The connection ended in the body."""
        self._end(error)
        super().lost(error)

    def _end(self, error: Exception | None) -> None:
        """Let the handler go on. What it awaits is forgotten here: an error's traceback leads back to this landing."""
        done, self._done = self._done, None
        if done is None or done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def _look(self) -> None:
        """Has the time for what came run out? Bytes that came since it was set, or wait to be read, have moved it."""
        if self._done is None:
            return
        waiting = bytes(4)
        with suppress(OSError, ValueError):  # closed just now: that we are told
            waiting = fcntl.ioctl(self._socket.fileno(), termios.FIONREAD, waiting)
        due = self._due(self._received + int.from_bytes(waiting, sys.byteorder))
        if due <= self._loop.time():
            self._end(TimeoutError())
        else:
            self._timer = self._loop.call_at(due, self._look)

    def _wake_at(self, count: int) -> None:
        """Be told of so many bytes, or of the connection's end, and of nothing less (socket(7), SO_RCVLOWAT)."""
        self._wake_bytes = count
        with suppress(OSError):  # closed just now: that we are told
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)
