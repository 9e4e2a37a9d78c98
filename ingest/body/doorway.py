"""The protocol of each connection, in front of aiohttp's: small reads go to aiohttp, bodies to whoever takes them.

aiohttp copies each piece of a body three times, which at 1 MB costs more than hashing it. So a handler that has
accepted a head lets a `Landing` read the rest of the body, and not one byte beyond it; afterwards aiohttp goes on with
a new parser. aiohttp gets only the head of a chunked request, because its parser's position inside a chunk is not
accessible. Bytes behind the head are kept (`unparsed`) until a landing takes them, or another handler lets aiohttp have
them. That is done only where a read certainly begins with a request: two readers that differ on that are how requests
are smuggled. This file and `landing.py` are the only code that touches a private attribute of aiohttp (`_parser`);
`test_landing.py` checks that it still works. `listening` also reads `_kwargs` of its server, which constructs the class
below otherwise, and `finish_within` sets `_shutdown_timeout` of a runner.
"""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol, cast

from aiohttp import StreamReader, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser
from aiohttp.web_protocol import MAX_MSG_QUEUE_SIZE, RequestHandler, RequestPayloadError

HEAD_BYTES = 16 * 1024
SCRAP_BYTES = 256 * 1024
# Limit on the unread part of an answer in the kernel, which doubles the number for its own overhead. The default grows
# to 4 MiB for each connection; this is enough for 100 MB/s to a balancer half a millisecond away.
SEND_BUFFER_BYTES = 64 * 1024
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked[ \t]*\r\n", re.IGNORECASE)


Malformed = Callable[[HttpProcessingError], web.StreamResponse]


class Connection(RequestHandler):
    """aiohttp's part of a connection; `malformed` makes the answer to a head that aiohttp cannot read."""

    __slots__ = ("malformed",)

    malformed: Malformed

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Log it, as aiohttp does; answer in our form, and close."""
        response = super().handle_error(request, status, exc, message)
        if isinstance(exc, HttpProcessingError):
            response = self.malformed(exc)
            response.force_close()
        return response


class Shared:
    """Read buffers shared by all connections of a node: each read is processed before the next one.

    `head` is for reads that go to aiohttp, `scrap` for discarded bytes.
    """

    __slots__ = ("head", "scrap")

    def __init__(self) -> None:
        self.head = memoryview(bytearray(HEAD_BYTES))
        self.scrap = memoryview(bytearray(SCRAP_BYTES))


class Taker(Protocol):
    """Takes the bytes of a body in place of aiohttp."""

    def room(self) -> memoryview:
        """The buffer for the next read."""

    def received(self, count: int) -> None:
        """Process a read of `count` bytes into `room`."""

    def lost(self, error: Exception) -> None:
        """The connection has ended."""


class Doorway(asyncio.BufferedProtocol):
    """The protocol of one connection: passes everything to aiohttp, except bodies that somebody takes."""

    __slots__ = (
        *("_at_boundary", "_busy", "_head_alone", "_one_before", "_transport"),
        *("handler", "landing", "shared", "unparsed"),
    )

    def __init__(self, handler: RequestHandler, shared: Shared) -> None:
        self.handler = handler
        self.shared = shared
        self.landing: Taker | None = None
        self.unparsed: bytes | None = None  # what came behind the head of a chunked request
        self._at_boundary = True  # the next byte is the first of a request
        self._head_alone = False  # since then came one head without a body, and nothing else
        self._busy = False  # a handler is at work
        self._one_before = False  # it is at work for the request before the one whose body is unparsed
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Pass on to aiohttp."""
        self._transport = cast("asyncio.Transport", transport)
        self.handler.connection_made(self._transport)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """The buffer for the next read."""
        return self.landing.room() if self.landing else self.shared.head

    def buffer_updated(self, nbytes: int) -> None:
        """Process a read of `nbytes` bytes."""
        if self.landing:
            self.landing.received(nbytes)
        else:
            self.take(bytes(self.shared.head[:nbytes]))

    def take(self, data: bytes) -> None:
        """Pass bytes on to aiohttp; of a chunked request the head only."""
        self._head_alone = False
        if self._at_boundary:
            end = data.find(b"\r\n\r\n") + 4
            if end > 3 and data.find(b"hunked", 0, end) > 0 and _CHUNKED.search(data, 0, end):
                self.unparsed, data, self._one_before = data[end:], data[:end], self._busy
                self._transport.pause_reading()
            else:
                self._head_alone = end == len(data)
            self._at_boundary, self._busy = False, True
        self.handler.data_received(data)

    def take_unparsed(self) -> bytes:
        """Read from the connection again; returns the bytes that were kept."""
        unparsed, self.unparsed = self.unparsed or b"", None
        self._transport.resume_reading()
        return unparsed

    def release(self) -> None:
        """Let aiohttp have the bytes that were kept: the handler reads the body through it."""
        if self.unparsed is not None and (unparsed := self.take_unparsed()):
            self.handler.data_received(unparsed)

    def hand_back(self, content: StreamReader, rest: bytes = b"") -> None:
        """The body has ended: aiohttp goes on, with a new parser, because the old one is in the middle of the body."""
        handler = self.handler
        self.landing = None
        handler._parser = HttpRequestParser(  # noqa: SLF001 - see the module's docstring
            handler,
            asyncio.get_running_loop(),
            HEAD_BYTES,
            max_line_size=handler.max_line_size,
            max_headers=handler.max_headers,
            max_field_size=handler.max_field_size,
            payload_exception=RequestPayloadError,
            auto_decompress=False,
            max_msg_queue_size=MAX_MSG_QUEUE_SIZE,
        )
        content.feed_eof()
        self._at_boundary = True
        if rest:
            self.take(rest)

    def answered(self) -> bool:
        """A request's handler has ended; returns whether it has left a body that nobody parsed."""
        if self._one_before:
            self._one_before = False
            return False
        self._busy = False
        if self._head_alone:
            self._at_boundary = True
        return self.unparsed is not None

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


def doorway_of(request: web.BaseRequest) -> Doorway | None:
    """The doorway of a request's connection; None when the connection has ended, or is a test's."""
    protocol = request.transport.get_protocol() if request.transport is not None else None
    return protocol if isinstance(protocol, Doorway) else None


@asynccontextmanager
async def listening(
    runner: web.AppRunner, host: str, port: int, malformed: Malformed, backlog: int = 4096
) -> AsyncIterator[asyncio.Server]:
    """Accept connections, each with its own doorway; leaving stops accepting and finishes open requests. OSError."""
    await runner.setup()
    manager = cast("web.Server", runner.server)

    def doorway() -> Doorway:
        connection = Connection(manager, loop=loop, **manager._kwargs)  # noqa: SLF001 - see the module's docstring
        connection.malformed = malformed
        return Doorway(connection, shared)

    try:
        shared, loop = Shared(), asyncio.get_running_loop()
        server = await loop.create_server(doorway, host, port, backlog=backlog)
        for listener in server.sockets:  # accepted connections inherit the option
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        try:
            yield server
        finally:
            server.close()
    finally:
        await runner.cleanup()


def finish_within(runner: web.AppRunner, seconds: float) -> None:
    """When the runner stops, let open requests finish for so long: less than it was made with, if time has passed."""
    runner._shutdown_timeout = seconds  # noqa: SLF001 - see the module's docstring
