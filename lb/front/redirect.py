"""Plain HTTP beside TLS: every request is answered 308 with its own target under https, and its connection ends.

A connection counts against the limit of all connections and has the time of a head for everything. Its body is dropped,
so that the answer arrives; a client follows a 308 with the same method and body.
"""

import asyncio
from typing import Final, cast

from ..http1.errors import RequestError, problem
from ..http1.head import RequestHead, find_request
from ..relay.connections import Connections

HTTPS_PORT: Final = 443


def moved(head: RequestHead, port: int) -> bytes:
    """The answer to a request; raises RequestError when it names no host."""
    if not head.host:
        raise RequestError("bad-request", "The request has no Host field, so it cannot be sent on to https.")
    name, colon, digits = head.host.rpartition(b":")
    host = name if colon and (digits.isdigit() or not digits) else head.host
    # RFC 9112 section 3.2.4: an OPTIONS of the server as a whole, `*`, is that of its URI without a path.
    path = b"" if head.target == b"*" else head.target
    uri = b"https://%b%b%b" % (host, b"" if port == HTTPS_PORT else b":%d" % port, path)
    return b"HTTP/1.1 308 Permanent Redirect\r\nLocation: %b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % uri


class Redirect(asyncio.Protocol):
    """A connection to the port of plain HTTP; `port` is that of TLS. A PROXY header's address is of no use here."""

    def __init__(self, connections: Connections, port: int, _: str = "") -> None:
        self._connections, self._port = connections, port
        self._transport: asyncio.Transport
        self._deadline: asyncio.TimerHandle
        self._head = b""
        self._expected = self._answered = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accepted; closed without an answer when there are too many."""
        self._transport = cast("asyncio.Transport", transport)
        context = self._connections.context
        self._deadline = context.loop.call_later(context.config.head_s, self._transport.abort)
        self._expected = self._connections.expect()
        if not self._expected:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Collect the head and answer it; drop everything else."""
        if self._answered:
            return
        context, seen = self._connections.context, len(self._head)
        self._head += data
        try:
            found = find_request(self._head, context.config.head_bytes_max, seen)
            if found is None:
                return
            answer = moved(found[0], self._port)
        except RequestError as error:
            context.counters.heads_refused += 1
            answer = problem(error.code, context.new_id(), detail=error.detail)
        self._answered, self._head = True, b""
        self._transport.write(answer)
        self._transport.write_eof()

    def eof_received(self) -> bool:
        """The client has said all: nothing is on its way that could destroy the answer."""
        return False

    def connection_lost(self, _: Exception | None) -> None:
        """The connection has ended."""
        self._deadline.cancel()
        self._connections.expected -= self._expected
