"""Receives bodies without copies: the kernel reads them straight into the upload's buffer.

A `Landing` takes the rest of a body at its connection's `Doorway`, after the handler has decided. A counted body is
read into the upload's buffer to its last byte. Of a chunked body only the large chunks are; what holds the sizes of
chunks is read into a shared buffer first and copied, which costs less than a read for each size.

The kernel wakes the process for 32 KiB or the body's end, not for each of a phone's segments (`lb` does the same;
neither package may import the other). The body of a refused request is read to its end and discarded, so that the
client receives the answer. This file knows no multipart.
"""

import asyncio
import fcntl
import socket
import sys
import termios
from contextlib import suppress
from typing import Final, Protocol

from aiohttp import web

from .chunks import BadChunks, Chunks
from .doorway import Doorway, doorway_of
from .pace import Pace
from .tcp import quiet_ms

# This much may wait in the kernel before it wakes the process. For a pair of 2 x 100 KB in pieces of 4 KiB: 1.6 ms
# without this, 1.4 ms with 16 KiB, 1.3 ms with 32 KiB, and no less with 64 KiB.
_WAKE_BYTES = 32 * 1024
LATE_S = 1.0  # a timer that is called so much later than asked for shows that the node did not run
_DIRECT_BYTES_MIN: Final = 16 * 1024  # the rest of a smaller chunk is read with what follows it, and copied
_FINE_READ_BYTES: Final = 32 * 1024  # of small chunks, each of which is work: some 5 ms if they have one byte
# Of a refused chunked body, whose length is not known; then the connection is reset.
DISCARDED_BYTES_MAX: Final = 64 * 1024 * 1024


class BodyTooLong(Exception):
    """A chunked body is longer than its sink may hold."""


class BodySink(Protocol):
    """The destination of a body."""

    def room(self) -> memoryview:
        """The buffer for the next bytes; empty if the sink has given up."""

    def landed(self, count: int) -> None:
        """Record that `count` bytes were received; an exception ends the landing."""


class BodyDrain:
    """Reads and discards the rest of a refused body, so that the client receives the answer."""

    __slots__ = ("_chunks", "_content", "_discarded", "_doorway", "_framed", "_loop", "_missing", "_transport")

    def __init__(self, request: web.Request) -> None:
        doorway = doorway_of(request)
        if doorway is None or request.transport is None:
            raise ConnectionResetError("the client is gone")
        self._loop = asyncio.get_running_loop()
        self._doorway: Doorway = doorway
        self._transport = request.transport
        self._content = request.content
        self._chunks = Chunks() if doorway.unparsed is not None else None
        self._framed = True  # chunks so far are well-formed, so that their end can be found
        self._missing = (request.content_length or 0) - request.content.total_bytes
        self._discarded = 0

    def begin(self) -> None:
        """Take the body from now on, first the bytes of it that were read with the head."""
        self._doorway.landing = self
        if self._chunks is not None:
            self._unframe(memoryview(self._doorway.take_unparsed()), self._chunks)

    def room(self) -> memoryview:
        """The buffer for the next bytes, never longer than the rest of the body where that is known."""
        scrap, chunks = self._doorway.shared.scrap, self._chunks
        if chunks is None:
            return scrap[: self._missing]
        return scrap if chunks.coarse else scrap[:_FINE_READ_BYTES]

    def received(self, count: int) -> None:
        """Process `count` bytes that were read."""
        if self._chunks is not None:
            self._unframe(self._doorway.shared.scrap[:count], self._chunks)
            return
        self._missing -= count
        if not self._missing:
            self._doorway.hand_back(self._content)

    def lost(self, error: Exception) -> None:  # noqa: ARG002 - for those who wait
        """The connection ended. Else aiohttp would wait ten seconds for the rest of a body that it has answered."""
        self._content.feed_eof()

    def _unframe(self, data: memoryview, chunks: Chunks) -> None:
        """Take the chunks off the next bytes, and hand the connection back after the last one."""
        if not self._framed:
            return
        try:
            for piece in chunks.feed(data):
                self._payload(piece)
        except BadChunks as error:
            self._malformed(error)
            return
        if chunks.done:
            self._whole()
            self._doorway.hand_back(self._content, chunks.rest)

    def _payload(self, piece: memoryview) -> None:
        self._discarded += len(piece)
        if self._discarded > DISCARDED_BYTES_MAX:
            self._transport.abort()

    def _malformed(self, error: Exception) -> None:  # noqa: ARG002 - for those who wait
        """Where the body ends is not known: the connection ends after the answer."""
        self._framed = False
        self._content.feed_eof()
        self._doorway.handler.close()

    def _whole(self) -> None:
        """The last byte of the body has come."""


def discard(request: web.Request) -> None:
    """Discard the rest of a request's body; aiohttp handles a chunked body that it has begun to read itself."""
    doorway, length = doorway_of(request), request.content_length
    if doorway is None or doorway.landing is not None or request.content.is_eof():
        return
    if doorway.unparsed is not None or (length is not None and length > request.content.total_bytes):
        BodyDrain(request).begin()


def finish(request: web.Request) -> None:
    """After the handler of a request: discard a chunked body that it has left."""
    doorway = doorway_of(request)
    if doorway is not None and doorway.answered():
        discard(request)
        if doorway.unparsed is not None:  # aiohttp knows of no body, so nobody knows where the next request begins
            doorway.handler.close()


class Landing(BodyDrain):
    """Receives the rest of one request's body, at its pace; `bytes_max` bounds a chunked one."""

    __slots__ = (
        "_bytes_max",
        "_direct",
        "_done",
        "_due",
        "_pace",
        "_received",
        "_sink",
        "_socket",
        "_timer",
        "_wake_bytes",
    )

    def __init__(self, request: web.Request, sink: BodySink, pace: Pace, *, bytes_max: int = 0) -> None:
        super().__init__(request)
        self._socket: socket.socket = self._transport.get_extra_info("socket")
        self._wake_bytes = 1  # the current SO_RCVLOWAT
        self._sink: BodySink | None = sink
        self._bytes_max = bytes_max
        self._direct = False  # the current read goes into the sink
        self._received = request.content.total_bytes
        self._pace = pace
        self._done: asyncio.Future[None] | None = self._loop.create_future()
        self._due = pace.due()
        self._timer = self._loop.call_at(self._due, self._look)

    async def run(self) -> None:
        """Return when the body is complete; TimeoutError, ConnectionError, BadChunks, BodyTooLong, or the sink's."""
        # Before `begin`, which hands the connection back when all of a chunked body was read with its head.
        self._doorway.handler._parser = None  # noqa: SLF001 - not used again: its memory goes before the body comes
        done = self._done
        self.begin()
        if self._doorway.landing is self:
            self._wake()
        try:
            if done is not None:
                await done
        finally:
            self._timer.cancel()
            self._sink = None  # the rest of a body that was given up is discarded
            del done  # an error's traceback refers to this frame

    def room(self) -> memoryview:
        """The sink's buffer, or the shared one where sizes of chunks come, or the sink has given up."""
        chunks, self._direct = self._chunks, False
        if self._sink and (chunks is None or chunks.left >= _DIRECT_BYTES_MIN) and (room := self._sink.room()):
            self._direct = True
            # Never beyond this request's content: the next bytes are of the next request.
            return room[: self._missing if chunks is None else chunks.left]
        return super().room()

    def received(self, count: int) -> None:
        """Count `count` bytes, and pass them to the sink unless it has given up."""
        chunks = self._chunks
        if chunks is None or self._direct:
            self._landed(count)
        if chunks is not None and self._direct:
            chunks.skip(count)
        elif chunks is not None:
            super().received(count)
        else:
            whole = count == self._missing
            if whole:
                self._wake_at(1)
            super().received(count)
            if whole:
                self._end(None)
        if self._doorway.landing is self:
            self._wake()

    def give_up(self, error: Exception) -> None:
        """Raise this error in the waiting handler; the rest of the body is discarded."""
        self._sink = None
        self._end(error)

    def lost(self, error: Exception) -> None:
        """The connection ended inside the body."""
        self._end(error)
        super().lost(error)

    def _landed(self, count: int) -> None:
        """`count` bytes of payload have come, into the sink's room if it has not given up."""
        self._received += count
        self._pace.moved(self._loop.time(), self._received)
        if self._sink is not None:
            try:
                self._sink.landed(count)
            except Exception as error:  # noqa: BLE001 - it is the waiting handler's
                self.give_up(error)

    def _payload(self, piece: memoryview) -> None:
        """Copy payload into the sink."""
        if self._sink is not None and self._received + len(piece) > self._bytes_max:
            self.give_up(BodyTooLong())
        while piece and self._sink is not None and (room := self._sink.room()):
            count = min(len(room), len(piece))
            room[:count] = piece[:count]
            self._landed(count)
            piece = piece[count:]
        super()._payload(piece)

    def _malformed(self, error: Exception) -> None:
        self.give_up(error)
        super()._malformed(error)

    def _whole(self) -> None:
        self._wake_at(1)
        self._end(None)

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
        now = came_at = self._loop.time()
        late_s = now - self._due
        if late_s > LATE_S:
            # The node was stopped or busy. Timers run before the sockets are read: what came meanwhile comes next.
            self._pace.pardon(late_s)
        else:
            came_at -= quiet_ms(self._socket) / 1000  # of bytes too few to wake us
        waiting = bytes(4)
        with suppress(OSError, ValueError):  # just closed: connection_lost follows
            waiting = fcntl.ioctl(self._socket.fileno(), termios.FIONREAD, waiting)
        self._pace.moved(came_at, self._received + int.from_bytes(waiting, sys.byteorder))
        self._due = self._pace.due()
        if self._due <= now:
            self._end(TimeoutError())
        else:
            self._timer = self._loop.call_at(self._due, self._look)

    def _wake(self) -> None:
        """Wake when as many bytes are there as are worth a read, but never more than must come."""
        self._wake_at(min(self._missing if self._chunks is None else self._chunks.due, _WAKE_BYTES))

    def _wake_at(self, count: int) -> None:
        """Ask the kernel to wake only for this many bytes or the connection's end (socket(7), SO_RCVLOWAT)."""
        if count == self._wake_bytes:
            return
        self._wake_bytes = count
        with suppress(OSError):  # just closed: connection_lost follows
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)
