"""A phone that speaks TLS to a transport of ours, in memory."""

import socket
import ssl
from contextlib import suppress

from lb.front.tls_transport import TlsTransport
from lb.relay.client import Client
from tests.certificates import trusting
from tests.unit.lb.conftest import FakeTransport, Stage


def client_of(stage: Stage) -> Client:
    """The only client."""
    [client] = stage.connections.clients
    return client


class TlsPhone:
    """The client's side of one connection; `wire` is the socket's transport at the balancer."""

    def __init__(self, server: TlsTransport, wire: FakeTransport, context: ssl.SSLContext | None = None) -> None:
        self.server, self.wire = server, wire
        self._waiting = b""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = (context or trusting()).wrap_bio(self._incoming, self._outgoing)

    def deliver(self, data: bytes) -> None:
        """Let the balancer read these bytes from its socket."""
        self.server.get_buffer(-1)[: len(data)] = data
        self.server.buffer_updated(len(data))

    def wakes_at(self) -> int:
        """SO_RCVLOWAT of the balancer's socket, as the kernel has it."""
        return self.wire.near.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT)

    def arrive(self, raw: bytes, segment_bytes: int) -> int:
        """Bytes come in segments, and the balancer is woken as the kernel does; returns how often it read.

        What does not wake it, or comes while it does not read, waits for the next call.
        """
        reads = 0
        for at in range(0, len(raw), segment_bytes) or [0]:
            self._waiting += raw[at : at + segment_bytes]
            if self.wire.reading and len(self._waiting) >= self.wakes_at():
                reads, data, self._waiting = reads + 1, self._waiting, b""
                self.deliver(data)
        return reads

    def shake(self) -> None:
        """Do the whole handshake; raises what the library raises."""
        for _ in range(3):
            self._incoming.write(self.wire.take())
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self.deliver(self._outgoing.read())
            else:
                if data := self._outgoing.read():
                    self.deliver(data)
                return

    def encrypted(self, data: bytes, record_bytes: int = 16384) -> bytes:
        """The records of these bytes."""
        for at in range(0, len(data), record_bytes):
            self.tls.write(data[at : at + record_bytes])
        return self._outgoing.read()

    def notified(self) -> bytes:
        """The record of close_notify."""
        with suppress(ssl.SSLError):
            self.tls.unwrap()
        return self._outgoing.read()

    def heard(self) -> bytes:
        """What the balancer has answered since the last call; ends with `<end>` after its close_notify."""
        self._incoming.write(self.wire.take())
        found = b""
        try:
            while data := self.tls.read(65536):
                found += data
        except ssl.SSLWantReadError:
            return found
        except ssl.SSLZeroReturnError:
            pass
        return found + b"<end>"
