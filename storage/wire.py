"""HTTP/1.1 as a PUT to an object store needs it: head and buffers out in one system call, status and error text back.

A general client costs more for one PUT than signing, checking and sending it. This one knows an answer with
Content-Length, which every store gives to a PUT that went well, and keeps the connection after it; after any other
answer it takes what error text has come and closes. Connections are bounded in number and used again, the last used
first. This file knows nothing of S3.
"""

import asyncio
import re
import ssl
from collections.abc import Sequence
from typing import Final, cast

import msgspec

from .blobs import Buffer

_HEAD: Final = re.compile(rb"HTTP/1\.1 ([1-9][0-9]{2})[^\r\n]*\r\n")
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,9})[ \t]*\r\n", re.IGNORECASE)
_CLOSE: Final = re.compile(rb"\r\nconnection:[ \t]*close[ \t]*\r\n", re.IGNORECASE)
_LAST_CHUNK: Final = b"\r\n0\r\n\r\n"
_ANSWER_BYTES_MAX: Final = 64 * 1024


class Said(msgspec.Struct, frozen=True):
    """A status, and the body as it came (framing included where it was chunked)."""

    status: int
    body: bytes


class Wire(asyncio.Protocol):
    """One connection with at most one request under way."""

    def __init__(self, silence_s: float) -> None:
        self._silence_s = silence_s
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._read = b""
        self._answer: asyncio.Future[Said] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._unsent = 0
        self.usable = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self._transport = cast("asyncio.Transport", transport)

    async def ask(self, parts: Sequence[Buffer]) -> Said:
        """Send one request and hear the answer. ConnectionError; TimeoutError when neither side moved for so long."""
        self._answer = self._loop.create_future()
        self._read = b""
        self._transport.writelines(parts)
        self._unsent = self._transport.get_write_buffer_size()
        self._timer = self._loop.call_later(self._silence_s, self._look)
        try:
            return await self._answer
        finally:
            self._timer.cancel()
            if not self._answer.done() or self._answer.cancelled() or self._answer.exception():
                self.close()
            self._answer = None

    def close(self) -> None:
        """At once: what was not sent is not sent."""
        self.usable = False
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """A piece of the answer."""
        self._read += data
        if self._answer is None or self._answer.done():
            self.close()  # nobody asked
            return
        while self._read.startswith(b"HTTP/1.1 1") and (end := self._read.find(b"\r\n\r\n")) >= 0:
            self._read = self._read[end + 4 :]  # interim answers say nothing yet
        end = self._read.find(b"\r\n\r\n") + 4
        head = _HEAD.match(self._read)
        if end < 4 or head is None:
            if len(self._read) > _ANSWER_BYTES_MAX or end >= 4:
                self._fail(ConnectionError("the store's answer is not HTTP/1.1"))
            return
        length = _LENGTH.search(self._read, 0, end)
        if length is None:
            self.usable = False
            if self._read.endswith(_LAST_CHUNK) or len(self._read) > _ANSWER_BYTES_MAX:
                self._answer.set_result(Said(int(head[1]), self._read[end:]))
        elif len(self._read) >= min(end + int(length[1]), _ANSWER_BYTES_MAX):
            # An answer that came before all was sent leaves a connection in the middle of a body.
            whole = len(self._read) == end + int(length[1]) and not self._transport.get_write_buffer_size()
            self.usable = whole and _CLOSE.search(self._read, 0, end) is None
            self._answer.set_result(Said(int(head[1]), self._read[end:]))

    def connection_lost(self, exc: Exception | None) -> None:
        """Ended; an answer without a length ends so too."""
        self.usable = False
        head = _HEAD.match(self._read)
        if head and b"\r\n\r\n" in self._read and exc is None and self._answer and not self._answer.done():
            self._answer.set_result(Said(int(head[1]), self._read.partition(b"\r\n\r\n")[2]))
        self._fail(exc or ConnectionResetError("the store closed the connection"))

    def _look(self) -> None:
        """Silence for so long: the store is given up, unless it still takes what we send."""
        unsent = self._transport.get_write_buffer_size()
        if unsent < self._unsent:
            self._unsent = unsent
            self._timer = self._loop.call_later(self._silence_s, self._look)
        else:
            self._fail(TimeoutError(f"the store was silent for {self._silence_s} s"))

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)


class Wires:
    """Connections to one host."""

    def __init__(
        self,
        host: str,
        port: int,
        trust: ssl.SSLContext | None,
        *,
        connections_max: int,
        connect_timeout_s: float,
        silence_s: float,
    ) -> None:
        self._host, self._port, self._trust = host, port, trust
        self._connect_timeout_s = connect_timeout_s
        self._silence_s = silence_s
        self._idle: list[Wire] = []
        self._slots = asyncio.Semaphore(connections_max)

    async def ask(self, parts: Sequence[Buffer]) -> Said:
        """One request on one of them; ConnectionError, TimeoutError, OSError.

        A connection that rested may turn out closed by the other side: then the next is asked, a new one at last.
        """
        async with self._slots:
            while self._idle:
                wire = self._idle.pop()
                if wire.usable:
                    try:
                        return await self._asked(wire, parts)
                    except ConnectionError:
                        continue
            async with asyncio.timeout(self._connect_timeout_s):
                _, fresh = await asyncio.get_running_loop().create_connection(
                    lambda: Wire(self._silence_s), self._host, self._port, ssl=self._trust
                )
            return await self._asked(fresh, parts)

    async def _asked(self, wire: Wire, parts: Sequence[Buffer]) -> Said:
        said = await wire.ask(parts)
        if wire.usable:
            self._idle.append(wire)
        else:
            wire.close()
        return said

    def close(self) -> None:
        """All that rest; those in use end with their request."""
        while self._idle:
            self._idle.pop().close()
