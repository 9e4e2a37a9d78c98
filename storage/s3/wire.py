"""HTTP/1.1 as calls to an object store need it: head and buffers out in one system call, status and body back.

A general client costs more for one PUT than signing, checking and sending it. This one knows an answer with
Content-Length, which every store gives when things went well, and keeps the connection after it; after any other
answer it takes what error text has come and closes. Connections are bounded in number and used again, the last used
first. This file knows nothing of S3.
"""

import asyncio
import re
import ssl
from collections.abc import Sequence
from typing import Final, cast

import msgspec

from ..blobs import Buffer

_HEAD: Final = re.compile(rb"HTTP/1\.1 ([1-9][0-9]{2})[^\r\n]*\r\n")
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,9})[ \t]*\r\n", re.IGNORECASE)
_CLOSE: Final = re.compile(rb"\r\nconnection:[ \t]*close[ \t]*\r\n", re.IGNORECASE)
_LAST_CHUNK: Final = b"\r\n0\r\n\r\n"
_HEAD_BYTES_MAX: Final = 64 * 1024
# Of a body whose length nobody said, an error's text.
_TEXT_BYTES_MAX: Final = 64 * 1024


class Said(msgspec.Struct, frozen=True):
    """A status, a head and a body; `measured` when its length was announced, else it is as it came: framed, or cut."""

    status: int
    head: bytes
    body: bytes
    measured: bool


class _Reply:
    """One answer as it comes: `said` once it is whole. To HEAD there is no body, whatever length is said."""

    __slots__ = ("_body", "_fields", "_head_only", "_length", "_missing", "_read", "_status", "keeps", "said")

    def __init__(self, *, head_only: bool) -> None:
        self._head_only = head_only
        self._read = self._fields = b""
        self._status = 0
        self._body: list[bytes] = []
        self._length: int | None = None
        self._missing = 0
        self.keeps = False  # whether the connection is good for another request
        self.said: Said | None = None

    def take(self, data: bytes) -> None:
        """The next piece; ConnectionError when it is not HTTP/1.1 or more than was announced."""
        if not self._status:
            data = self._head(data)
            if not self._status:
                return
        self._body.append(data)
        self._missing -= len(data)
        if self._length is None:
            text = self._body[0] if len(self._body) == 1 else b"".join(self._body)
            self._body = [text]
            whole = text.endswith(_LAST_CHUNK) or len(text) > _TEXT_BYTES_MAX
        else:
            whole = self._missing <= 0
            if self._missing < 0:
                raise ConnectionError("the store said more than it announced")
        if whole:
            self.said = self._saying(measured=self._length is not None)

    def ended(self) -> None:
        """The connection ended: an answer without a length ends so too."""
        if self._status and self._length is None and self.said is None:
            self.said = self._saying(measured=False)

    def _saying(self, *, measured: bool) -> Said:
        return Said(self._status, self._fields, b"".join(self._body), measured)

    def _head(self, data: bytes) -> bytes:
        """What is left of the data behind the head, once that is there."""
        self._read += data
        while self._read.startswith(b"HTTP/1.1 1") and (end := self._read.find(b"\r\n\r\n")) >= 0:
            self._read = self._read[end + 4 :]  # interim answers say nothing yet
        end = self._read.find(b"\r\n\r\n") + 4
        head = _HEAD.match(self._read)
        if end < 4 or head is None:
            if len(self._read) > _HEAD_BYTES_MAX or end >= 4:
                raise ConnectionError("the store's answer is not HTTP/1.1")
            return b""
        self._status = int(head[1])
        length = _LENGTH.search(self._read, 0, end)
        if self._head_only or self._status in {204, 304}:
            self._length = 0
        elif length:
            self._length = int(length[1])
        self._missing = self._length or 0
        self.keeps = self._length is not None and _CLOSE.search(self._read, 0, end) is None
        self._fields, rest, self._read = self._read[:end], self._read[end:], b""
        return rest


class Wire(asyncio.Protocol):
    """One connection with at most one request under way."""

    def __init__(self, silence_s: float) -> None:
        self._silence_s = silence_s
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._reply = _Reply(head_only=False)
        self._waiting: asyncio.Future[Said] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._unsent = 0
        self._moved = False
        self.usable = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self._transport = cast("asyncio.Transport", transport)

    async def ask(self, parts: Sequence[Buffer], *, head_only: bool) -> Said:
        """Send one request and hear the answer. ConnectionError; TimeoutError when neither side moved for so long."""
        self._waiting = self._loop.create_future()
        self._reply = _Reply(head_only=head_only)
        self._transport.writelines(parts)
        self._unsent, self._moved = self._transport.get_write_buffer_size(), False
        self._timer = self._loop.call_later(self._silence_s, self._look)
        try:
            return await self._waiting
        finally:
            self._timer.cancel()
            if not self._waiting.done() or self._waiting.cancelled() or self._waiting.exception():
                self.close()
            self._waiting = None

    def close(self) -> None:
        """At once: what was not sent is not sent."""
        self.usable = False
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """A piece of the answer."""
        if self._waiting is None or self._waiting.done():
            self.close()  # nobody asked
            return
        self._moved = True
        try:
            self._reply.take(data)
        except ConnectionError as error:
            self._waiting.set_exception(error)
        if self._reply.said:
            # An answer that came before all was sent leaves a connection in the middle of a body.
            self.usable = self._reply.keeps and not self._transport.get_write_buffer_size()
            self._waiting.set_result(self._reply.said)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ended."""
        self.usable = False
        if self._waiting is not None and not self._waiting.done():
            if exc is None:
                self._reply.ended()
            if self._reply.said:
                self._waiting.set_result(self._reply.said)
            else:
                self._waiting.set_exception(exc or ConnectionResetError("the store closed the connection"))

    def _look(self) -> None:
        """Silence for so long: the store is given up, unless it still takes what we send, or has gone on speaking."""
        unsent = self._transport.get_write_buffer_size()
        if unsent < self._unsent or self._moved:
            self._unsent, self._moved = unsent, False
            self._timer = self._loop.call_later(self._silence_s, self._look)
        elif self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(TimeoutError(f"the store was silent for {self._silence_s} s"))


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

    async def ask(self, parts: Sequence[Buffer], *, head_only: bool = False) -> Said:
        """One request on one of them; ConnectionError, TimeoutError, OSError. `head_only`: the answer has no body.

        A connection that rested may turn out closed by the other side: then the next is asked, a new one at last.
        """
        async with self._slots:
            while self._idle:
                wire = self._idle.pop()
                if wire.usable:
                    try:
                        return await self._asked(wire, parts, head_only=head_only)
                    except ConnectionError:
                        continue
            async with asyncio.timeout(self._connect_timeout_s):
                _, fresh = await asyncio.get_running_loop().create_connection(
                    lambda: Wire(self._silence_s), self._host, self._port, ssl=self._trust
                )
            return await self._asked(fresh, parts, head_only=head_only)

    async def _asked(self, wire: Wire, parts: Sequence[Buffer], *, head_only: bool) -> Said:
        said = await wire.ask(parts, head_only=head_only)
        if wire.usable:
            self._idle.append(wire)
        else:
            wire.close()
        return said

    def close(self) -> None:
        """All that rest; those in use end with their request."""
        while self._idle:
            self._idle.pop().close()
