"""A TLS transport between a socket and a client connection: decrypts reads, encrypts writes, buffers neither.

It stands in for the event loop's own TLS, which reads each connection into a buffer of its own (256 KiB), hides where
records end, and knows no half-close. Here all connections read into one buffer, because OpenSSL copies what it is
given, and `Records` tells how much of a record is missing, so that the kernel wakes the process for large pieces of a
slow body (`relay/waking.py`). What is written waits in the socket's transport, whose limits pause the node.
"""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, cast

from ..relay.client import Client
from ..relay.connections import Connections
from ..relay.records import Records
from .tls import Termination

READ_BYTES: Final = 131072  # The most that one read takes: some 10 ms of work when each record holds one byte.
CONTENT_BYTES_MAX: Final = 16384  # Of a record; RFC 8446 section 5.1.
# What the library adds by itself (a session ticket) goes with the next answer up to this size, which saves a write.
HELD_BYTES_MAX: Final = 1024


def speaks_tls(connections: Connections, tls: Termination) -> Callable[..., "TlsTransport"]:
    """What makes the protocol of an accepted connection; all of them read into one buffer."""
    buffer = memoryview(bytearray(READ_BYTES))
    return lambda address="": TlsTransport(connections, tls, buffer, address)


class TlsTransport(asyncio.Transport, asyncio.BufferedProtocol):
    """The protocol of an accepted socket, and the transport of the client that is made after the handshake."""

    _client: Client | None = None
    _due = 0  # Complete records that were not decrypted yet.
    _expected = False  # Counted as a connection that is not a client yet.
    # `_peer_ended`: close_notify came; `_end_due`: the client was not told yet, because it is paused.
    # `_half_closed`: close_notify was sent, and the client still sends.
    _paused = _closing = _peer_ended = _end_due = _half_closed = False

    def __init__(self, connections: Connections, tls: Termination, buffer: memoryview, address: str) -> None:
        super().__init__()
        self._connections, self._buffer, self._address = connections, buffer, address
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = tls.wrap(self._incoming, self._outgoing)
        self._records = Records()
        self._socket: asyncio.Transport
        self._deadline: asyncio.TimerHandle

    # The protocol of the socket.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accepted: the handshake has the time of a head; closed without an answer when there are too many."""
        self._socket = cast("asyncio.Transport", transport)
        context = self._connections.context
        self._deadline = context.loop.call_later(context.config.head_s, self._socket.abort)
        self._expected = self._connections.expect()
        if not self._expected:
            self._socket.abort()

    def get_buffer(self, _: int) -> memoryview:
        """Where the next read of the socket goes."""
        return self._buffer

    def buffer_updated(self, count: int) -> None:
        """`count` bytes were read from the socket."""
        data = self._buffer[:count]
        if self._half_closed:
            if self._client is not None and not self._closing:
                self._client.data_received(data)  # Only counted there, so it need not be decrypted.
        elif not self._peer_ended:
            self._due += self._records.feed(data)
            self._incoming.write(data)
            if self._client is not None or self._handshake():
                self._decrypt()

    def eof_received(self) -> bool:
        """The client has ended its side, by close_notify or without: HTTP's own framing tells what is incomplete."""
        self._peer_ended = True
        return self._client is not None and not self._closing and self._client.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        self._closing = True
        self._deadline.cancel()
        client, self._client = self._client, None
        if client is not None:
            client.connection_lost(exc)
            return
        self._connections.context.counters.heads_refused += self._expected
        self._settle()

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        if self._client is not None:
            self._client.pause_writing()

    def resume_writing(self) -> None:
        """The client has read what waited."""
        if self._client is not None:
            self._client.resume_writing()

    # The library.

    def _handshake(self) -> bool:
        """Go on with the handshake; True when it is complete."""
        try:
            self._tls.do_handshake()
        except ssl.SSLError as error:
            self._flush()  # The next message, or the alert that says what is wrong.
            if not isinstance(error, ssl.SSLWantReadError):
                self._socket.close()
            return False
        if self._tls.version() != "TLSv1.3":
            self._flush()  # Before 1.3 the server ends the handshake.
        self._settle()
        self._client = self._connections.accept(self._address)
        self._client.connection_made(self)
        return True

    def _settle(self) -> None:
        """The handshake is over, well or not."""
        self._deadline.cancel()
        self._connections.expected -= self._expected
        self._expected = False

    def _decrypt(self) -> None:
        """Pass on the content of all complete records, as many as a read of the client takes at a time."""
        client, got = cast("Client", self._client), False
        try:
            while self._due and not (self._paused or self._closing or self._half_closed):
                if filled := self._read(client.get_buffer(-1)):
                    got = True
                    client.buffer_updated(filled)
        except ssl.SSLError:
            self._flush()  # The alert.
            self._closing = True
            self._socket.close()
            return
        if self._end_due and not self._paused:
            self._end_due = False
            if not self.eof_received():
                self.close()
        elif not got:
            client.record_begun()
        if self._outgoing.pending > HELD_BYTES_MAX:
            self._flush()

    def _read(self, view: memoryview) -> int:
        """Decrypt as many records as the buffer has room for; returns the bytes of their content."""
        read, filled, last = self._tls.read, 0, len(view) - CONTENT_BYTES_MAX
        try:
            while self._due and filled <= last:
                size = read(CONTENT_BYTES_MAX, view[filled:])
                if not size:
                    self._peer_ended = self._end_due = True
                    self._due = 0
                    break
                filled += cast("int", size)
                self._due -= 1
        except ssl.SSLWantReadError:
            self._due = 0  # Some records were not content but the library's own.
        return filled

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._socket.write(self._outgoing.read())

    def _notify_end(self) -> None:
        """Send close_notify."""
        with suppress(ssl.SSLError):  # It also looks for the client's, which may never come.
            self._tls.unwrap()
        self._flush()

    # The transport of the client.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send; nothing after the end."""
        if self._closing or self._half_closed:
            return
        sent, size = 0, len(data)
        try:
            while sent < size:
                sent += self._tls.write(memoryview(data)[sent:] if sent else data)
        except ssl.SSLError:
            self.abort()
            return
        self._socket.write(self._outgoing.read())

    def pause_reading(self) -> None:
        """Pass on nothing until `resume_reading`; at most one read of the socket waits here."""
        self._paused = True
        self._socket.pause_reading()

    def resume_reading(self) -> None:
        """Pass on what waits here, then read again."""
        self._paused = False
        if self._due or self._end_due:
            self._connections.context.loop.call_soon(self._go_on)
        else:
            self._socket.resume_reading()

    def _go_on(self) -> None:
        if self._client is not None:
            self._decrypt()
            if not (self._due or self._paused or self.is_closing()):
                self._socket.resume_reading()

    def can_write_eof(self) -> bool:
        """TLS has a half-close, unlike the event loop's transport for it."""
        return True

    def write_eof(self) -> None:
        """End our side by close_notify and FIN; what still comes is passed on as it is, and must only be counted."""
        self._notify_end()
        self._half_closed, self._due = True, 0
        self._socket.write_eof()

    def close(self) -> None:
        """Send what waits and close_notify, and end when the client has ended its side, or after a moment."""
        if self._closing:
            return
        self._closing = True
        if not self._half_closed:
            self._notify_end()
        if self._peer_ended or self._half_closed:
            self._socket.close()
            return
        # The client's close_notify would find the socket closed, and the kernel would answer with a reset, which
        # destroys what is on its way to the client.
        self._half_closed, self._due = True, 0
        self._socket.write_eof()
        if self._paused:
            self._socket.resume_reading()
        context = self._connections.context
        self._deadline = context.loop.call_later(context.config.linger_idle_s, self._socket.close)

    def abort(self) -> None:
        """End at once; what waits is lost."""
        self._closing = True
        self._socket.abort()

    def is_closing(self) -> bool:
        """Whether it was closed, by us or by the socket's transport."""
        return self._closing or self._socket.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - as in asyncio
        """`records`: how the client's records end; else what the socket's transport knows."""
        return self._records if name == "records" else self._socket.get_extra_info(name, default)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Those of the socket's transport."""
        self._socket.set_write_buffer_limits(high, low)
