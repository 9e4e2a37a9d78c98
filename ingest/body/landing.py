"""Receives bodies without copies: the kernel reads them straight into the upload's buffer.

aiohttp copies each piece of a body three times, which at 1 MB costs more than hashing it. So a `Doorway` is the
protocol of each connection, in front of aiohttp's. It passes small reads to aiohttp until a handler that has accepted a
head starts a `Landing`. Then the kernel writes the rest of the body into the upload's buffer, and not one byte beyond
the body. Afterwards aiohttp continues with a new parser.

The kernel wakes the process for 32 KiB or the body's end, not for each of a phone's segments (`lb` does the same;
neither package may import the other). The body of a refused request is read to its end and discarded, so that the
client receives the answer. This file knows no multipart. It is the only code that touches a private attribute of
aiohttp (`_parser`); `test_landing.py` checks that it still works.
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

from .pace import Pace

HEAD_BYTES = 16 * 1024
SCRAP_BYTES = 64 * 1024
# This much may wait in the kernel before it wakes the process. For a pair of 2 x 100 KB in pieces of 4 KiB: 1.6 ms
# without this, 1.4 ms with 16 KiB, 1.3 ms with 32 KiB, and no less with 64 KiB.
_WAKE_BYTES = 32 * 1024
# Limit on the unread part of an answer in the kernel, which doubles the number for its own overhead. The default grows
# to 4 MiB for each connection; this is enough for 100 MB/s to a balancer half a millisecond away.
SEND_BUFFER_BYTES = 64 * 1024
LATE_S = 1.0  # a timer that is called so much later than asked for shows that the node did not run


class Shared:
    """Read buffers shared by all connections of a node: each read is processed before the next one.

    `head` is for reads that go to aiohttp, `scrap` for discarded bytes.
    """

    __slots__ = ("head", "scrap")

    def __init__(self) -> None:
        self.head = memoryview(bytearray(HEAD_BYTES))
        self.scrap = memoryview(bytearray(SCRAP_BYTES))


class BodySink(Protocol):
    """The destination of a body."""

    def room(self) -> memoryview:
        """The buffer for the next bytes; empty if the sink has given up."""

    def landed(self, count: int) -> None:
        """Record that `count` bytes were received; an exception ends the landing."""


class Doorway(asyncio.BufferedProtocol):
    """The protocol of one connection: passes everything to aiohttp, except bodies that a `Landing` receives."""

    __slots__ = ("handler", "landing", "shared")

    def __init__(self, handler: RequestHandler, shared: Shared) -> None:
        self.handler = handler
        self.shared = shared
        self.landing: BodyDrain | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Pass on to aiohttp."""
        self.handler.connection_made(transport)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """The buffer for the next read."""
        return self.landing.room() if self.landing else self.shared.head

    def buffer_updated(self, nbytes: int) -> None:
        """Process a read of `nbytes` bytes."""
        if self.landing:
            self.landing.received(nbytes)
        else:
            self.handler.data_received(bytes(self.shared.head[:nbytes]))

    def eof_received(self) -> None:
        """The client has half-closed: close the connection, as aiohttp does."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended: tell aiohttp and the landing."""
        self.handler.connection_lost(exc)
        if self.landing:
            self.landing.lost(exc or ConnectionResetError("the connection ended in the body"))
            self.landing = None

    def pause_writing(self) -> None:
        """Pass on to aiohttp, which writes the answers."""
        self.handler.pause_writing()

    def resume_writing(self) -> None:
        """Pass on to aiohttp."""
        self.handler.resume_writing()


@asynccontextmanager
async def listening(runner: web.AppRunner, host: str, port: int, backlog: int = 4096) -> AsyncIterator[asyncio.Server]:
    """Accept connections, each with its own doorway; leaving stops accepting and finishes open requests. OSError."""
    await runner.setup()
    serve = cast("Callable[[], RequestHandler]", runner.server)
    try:
        shared, loop = Shared(), asyncio.get_running_loop()
        server = await loop.create_server(lambda: Doorway(serve(), shared), host, port, backlog=backlog)
        for listener in server.sockets:  # accepted connections inherit the option
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        try:
            yield server
        finally:
            server.close()
    finally:
        await runner.cleanup()


class BodyDrain:
    """Reads and discards the rest of a refused body, so that the client receives the answer."""

    __slots__ = ("_content", "_doorway", "_loop", "_missing")

    def __init__(self, request: web.Request, length: int) -> None:
        if request.transport is None:
            raise ConnectionResetError("the client is gone")
        self._loop = asyncio.get_running_loop()
        self._doorway = cast("Doorway", request.transport.get_protocol())
        self._content = request.content
        self._missing = length - request.content.total_bytes

    def room(self) -> memoryview:
        """The buffer for the next bytes, never longer than the rest of the body."""
        return self._doorway.shared.scrap[: self._missing]

    def received(self, count: int) -> None:
        """Count `count` bytes that were read."""
        self._missing -= count
        if not self._missing:
            self._hand_back()

    def lost(self, error: Exception) -> None:  # noqa: ARG002 - for those who wait
        """The connection ended. Else aiohttp would wait ten seconds for the rest of a body that it has answered."""
        self._content.feed_eof()

    def _hand_back(self) -> None:
        """Return the connection to aiohttp, with a new parser, because the old one was in the middle of the body."""
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
    """Discard the rest of a request's body; aiohttp handles a body without an announced length."""
    length, transport = request.content_length, request.transport
    if length is None or transport is None or request.content.is_eof():
        return
    doorway = cast("Doorway", transport.get_protocol())
    if doorway.landing is None and length > request.content.total_bytes:
        doorway.landing = BodyDrain(request, length)


class Landing(BodyDrain):
    """Receives the rest of one request's body, at its pace."""

    __slots__ = ("_done", "_pace", "_received", "_sink", "_socket", "_timer", "_wake_bytes")

    def __init__(self, request: web.Request, sink: BodySink, pace: Pace) -> None:
        assert request.content_length is not None  # noqa: S101 - of others aiohttp knows the end
        super().__init__(request, request.content_length)
        assert request.transport is not None  # noqa: S101 - seen just now
        self._socket: socket.socket = request.transport.get_extra_info("socket")
        self._wake_bytes = 1  # the current SO_RCVLOWAT
        self._sink: BodySink | None = sink
        self._received = request.content.total_bytes
        self._pace = pace
        self._done: asyncio.Future[None] | None = self._loop.create_future()
        self._timer = self._loop.call_at(pace.due(), self._look)

    async def run(self) -> None:
        """Return when the body is complete; TimeoutError, ConnectionError, or the exception of the sink."""
        self._doorway.landing = self
        self._doorway.handler._parser = None  # noqa: SLF001 - the old one is of no use any more, and has its weight
        self._wake_at(min(self._missing, _WAKE_BYTES))
        try:
            if self._done:
                await self._done
        finally:
            self._timer.cancel()
            self._sink = None  # the rest of a body that was given up is discarded

    def room(self) -> memoryview:
        """The sink's buffer, or the discard buffer after the sink has given up."""
        if self._sink and (room := self._sink.room()):
            return room
        return super().room()

    def received(self, count: int) -> None:
        """Count `count` bytes, and pass them to the sink unless it has given up."""
        self._received += count
        self._pace.moved(self._loop.time(), self._received)
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
        """Raise this error in the waiting handler; the rest of the body is discarded."""
        self._sink = None
        self._end(error)

    def lost(self, error: Exception) -> None:
        """The connection ended inside the body."""
        self._end(error)
        super().lost(error)

    def _end(self, error: Exception | None) -> None:
        """Wake the waiting handler. Drops the future, because an error's traceback refers back to this landing."""
        done, self._done = self._done, None
        if done is None or done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def _look(self) -> None:
        """Time out, unless bytes have moved the deadline: received since it was set, or waiting in the kernel."""
        if self._done is None:
            return
        now = self._loop.time()
        late_s = now - self._timer.when()
        if late_s > LATE_S:
            # The node was stopped or busy. Timers run before the sockets are read: what came meanwhile comes next.
            self._pace.pardon(late_s)
        waiting = bytes(4)
        with suppress(OSError, ValueError):  # just closed: connection_lost follows
            waiting = fcntl.ioctl(self._socket.fileno(), termios.FIONREAD, waiting)
        self._pace.moved(now, self._received + int.from_bytes(waiting, sys.byteorder))
        due = self._pace.due()
        if due <= now:
            self._end(TimeoutError())
        else:
            self._timer = self._loop.call_at(due, self._look)

    def _wake_at(self, count: int) -> None:
        """Ask the kernel to wake only for this many bytes or the connection's end (socket(7), SO_RCVLOWAT)."""
        self._wake_bytes = count
        with suppress(OSError):  # just closed: connection_lost follows
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)
