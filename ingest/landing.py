"""Lets the rest of a body land where it stays: read by the kernel straight into the upload's buffer.

aiohttp hands a body out in pieces after copying each of them three times, which at 1 MB costs more than hashing it. So
once the head is decided upon, this takes the connection's place as its protocol until the announced length is there,
and then hands it back with a parser that knows nothing of the body. It never reads a byte beyond the body. A body that
was refused is read to its end and thrown away, so that its client hears why. It knows no multipart; the one place that
touches what aiohttp keeps to itself (`_parser`) is here, and `test_landing.py` holds it to that.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from aiohttp import web
from aiohttp.http_parser import HttpRequestParser
from aiohttp.web_protocol import MAX_MSG_QUEUE_SIZE, RequestPayloadError

SCRAP_BYTES = 64 * 1024


class Ground(Protocol):
    """What a body lands on."""

    def room(self) -> memoryview:
        """Where the bytes go that are still to come."""

    def landed(self, count: int) -> None:
        """So many came; whatever it raises ends the landing."""


class Landing(asyncio.BufferedProtocol):
    """The rest of one request's body. `due` says until when (loop time) so many bytes more are waited for."""

    def __init__(self, request: web.Request, ground: Ground, due: Callable[[int], float]) -> None:
        if request.transport is None:
            raise ConnectionResetError("the client is gone")
        self._loop = asyncio.get_running_loop()
        self._transport = request.transport
        self._server = request.protocol
        self._content = request.content
        self._ground: Ground | None = ground
        self._room = ground.room()
        self._missing = len(self._room)
        self._received = 0
        self._due = due
        self._done: asyncio.Future[None] = self._loop.create_future()
        self._timer = self._loop.call_at(due(0), self._look)

    async def run(self) -> None:
        """Return when the body is there. TimeoutError, ConnectionError, or what the ground raised."""
        self._switch(self)
        try:
            await self._done
        finally:
            self._timer.cancel()
            if self._missing:
                self._scrap()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """Where the next bytes go: never more than the body has left."""
        return self._room[-self._missing :] if self._ground else self._room[: self._missing]

    def buffer_updated(self, nbytes: int) -> None:
        """They are there."""
        self._missing -= nbytes
        self._received += nbytes
        if self._ground is not None:
            try:
                self._ground.landed(nbytes)
            except Exception as error:  # noqa: BLE001 - it is the waiting handler's
                self._end(error)
        if not self._missing:
            self._hand_back()
            self._end(None)

    def eof_received(self) -> None:
        """The client sends no more: the connection ends, as aiohttp has it."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Cut off."""
        self._server.connection_lost(exc)
        self._end(exc or ConnectionResetError("the connection ended in the body"))

    def pause_writing(self) -> None:
        """It is aiohttp that writes."""
        self._server.pause_writing()

    def resume_writing(self) -> None:
        """The same."""
        self._server.resume_writing()

    def _look(self) -> None:
        """Has the time for what came run out? Bytes that came since it was set have moved it."""
        due = self._due(self._received)
        if due <= self._loop.time():
            self._end(TimeoutError())
        else:
            self._timer = self._loop.call_at(due, self._look)

    def _end(self, error: Exception | None) -> None:
        if self._done.done():
            return
        if error is None:
            self._done.set_result(None)
        else:
            self._done.set_exception(error)

    def _scrap(self) -> None:
        """What still comes is read over itself; the buffer is free."""
        self._ground = None
        self._room = memoryview(bytearray(min(self._missing, SCRAP_BYTES)))

    def _hand_back(self) -> None:
        """The connection is aiohttp's again; its parser was in the middle of the body, so it gets a new one."""
        server = self._server
        server._parser = HttpRequestParser(  # noqa: SLF001 - see the module's docstring
            server,
            self._loop,
            SCRAP_BYTES,
            max_line_size=server.max_line_size,
            max_headers=server.max_headers,
            max_field_size=server.max_field_size,
            payload_exception=RequestPayloadError,
            auto_decompress=False,
            max_msg_queue_size=MAX_MSG_QUEUE_SIZE,
        )
        self._switch(server)
        self._content.feed_eof()

    def _switch(self, protocol: asyncio.BaseProtocol) -> None:
        """uvloop looks only at the start of reading whether a protocol brings its own buffer."""
        self._transport.pause_reading()
        self._transport.set_protocol(protocol)
        self._transport.resume_reading()
