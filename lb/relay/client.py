"""One client connection: collects heads, frames bodies, keeps requests in order, and ends politely.

`_receive` is what the next bytes mean: `_collect` a head, `_body` of the request under way, `_queue` a pipelined
request that must wait, `_discard` the rest of a body that was refused. Reading stops while the node takes no bytes, so
nothing is held but one read's worth. A connection that ends with body still coming lingers: it half-closes, reads and
drops for a bounded time, because closing at once would send a reset that destroys the answer on its way (RFC 9112
section 9.6). `check` is called once a second with all deadlines; the hot path reads no clock.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from ..http1.body import BodyError, Chunked, Counted, Framing, Nothing
from ..http1.errors import PROBLEMS, RequestError, problem
from ..http1.head import RequestHead, find_request
from ..http1.origin import Origin
from .access import refusal
from .deadlines import Timed
from .exchange import Exchange
from .tank import VIEW_BYTES_MIN
from .tcp import reset
from .waking import PIECE_BYTES

if TYPE_CHECKING:
    from .proxy import Proxy

HEAD_BYTES_USUAL = 2048  # A phone's head has 300 to 900 bytes.
CHUNKED_READ_BYTES = 32768  # Some 5 ms of work when it comes in chunks of one byte.
NOTHING = Nothing()  # Never fed here: after a head without a body `_queue` takes what comes.


class Client(Timed, asyncio.BufferedProtocol):
    """A connection accepted from a client; `address` where a PROXY header told another than the socket's."""

    # What a connection begins with stands in the class; an instance sets only what has changed.
    exchange: Exchange | None = None
    origin = Origin(b"", b"")
    trusted = False
    fresh = True  # No request has come yet.
    address = _buffer = b""
    _framing: Framing = NOTHING
    _ended = False
    _dropped = 0
    _idle_s = _linger_s = 0.0

    def __init__(self, proxy: "Proxy", address: str = "") -> None:
        self._proxy = proxy
        self._tank = proxy.tank
        self._told = address
        self.transport: asyncio.Transport
        self.write: Callable[[bytes | memoryview], None]
        self._receive: Callable[[bytes | memoryview], None] = self._collect

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accepted, or over the limit."""
        self.transport = cast("asyncio.Transport", transport)
        self.write = self.transport.write
        peer = transport.get_extra_info("peername")
        address = self._told or (peer[0] if peer else "unknown")
        self.address = address.encode()
        self.origin = Origin(self.address, self.address, proto=self._proxy.proto)
        self.trusted = self._proxy.trusts(address)
        high = self._proxy.config.write_bytes_max
        self.transport.set_write_buffer_limits(high=high, low=high // 4)
        if not self._proxy.admit(self):
            self._refuse("overloaded", "")

    def get_buffer(self, _: int) -> memoryview:
        """Where the next read goes; of a chunked body, whose bytes may all be framing, only so much in one go."""
        return self._tank.view[:CHUNKED_READ_BYTES] if isinstance(self._framing, Chunked) else self._tank.view

    def buffer_updated(self, count: int) -> None:
        """So many bytes came; what must outlive this call is copied."""
        view = self._tank.view[:count]
        self._receive(bytes(view) if count < VIEW_BYTES_MIN else view)
        exchange = self.exchange
        if exchange is not None and count >= VIEW_BYTES_MIN:
            if exchange.link is None:
                exchange.keep()
            elif exchange.link.transport.get_write_buffer_size():
                self._tank.lend(exchange.link.transport)

    def data_received(self, data: bytes) -> None:
        """The same, as bytes of their own."""
        self._receive(data)

    # Heads.

    def _collect(self, data: bytes | memoryview) -> None:
        # Almost every head ends within its first bytes; a body behind it stays where it is.
        start = bytes(data[:HEAD_BYTES_USUAL])
        try:
            parsed = None if self._buffer else find_request(start, self._proxy.config.head_bytes_max)
            if parsed is None:
                seen = len(self._buffer)
                start = data = self._buffer + data if self._buffer else bytes(data)
                parsed = find_request(start, self._proxy.config.head_bytes_max, seen)
            if parsed:
                self._proxy.check_head(parsed[0])
        except RequestError as error:
            self._refuse(error.code, error.detail)
            return
        if parsed is None:
            self._idle_s = self._idle_s if self._buffer else 0.0
            self._buffer = start
            return
        self._buffer, (head, end) = b"", parsed
        exchange = self._begin(head)
        if end < len(data):
            self._receive(data[end:])  # Before the start, so that head and body leave together.
        if self.exchange is exchange:
            exchange.start()

    def _begin(self, head: RequestHead) -> Exchange:
        self.exchange = exchange = Exchange(self._proxy, self, head)
        self._quiet_s = 0.0
        self.fresh = False
        self._seen_in = self._seen_out = 0
        self._pace = None
        if head.chunked:
            self._framing = Chunked()
        elif head.length:
            self._framing = Counted(head.length)
        else:
            self._framing = NOTHING
            exchange.request_done = True
            self._receive = self._queue
            return exchange
        self._receive = self._body
        return exchange

    def _refuse(self, code: str, detail: str) -> None:
        """Answer a head that makes no request; what follows it cannot be trusted to be one."""
        proxy = self._proxy
        proxy.counters.heads_refused += 1
        self._buffer = b""
        request_id = proxy.new_id()
        if proxy.note:
            proxy.note(refusal(proxy.unix_us(0.0), request_id, self.address, PROBLEMS[code].status))
        self.write(problem(code, request_id, detail=detail, retry_after_s=proxy.retry_after_s()))
        self.refused()
        self.finished(keep_alive=False)

    # Bodies.

    def _body(self, data: bytes | memoryview) -> None:
        exchange, framing = self.exchange, self._framing
        if exchange is None:
            return
        exchange.received += len(data)
        try:
            out = framing.feed(data)
        except BodyError as error:
            exchange.fail("bad-request", f"The body is malformed: {error}.")
            return
        if exchange.received > self._proxy.config.body_bytes_max + len(framing.rest):
            exchange.fail("too-large")
            return
        if framing.done:
            exchange.request_done = True
            exchange.uploaded = self._proxy.loop.time()
            self._receive = self._queue
            self._wake_at(1)
        elif len(data) < PIECE_BYTES or self._wake_bytes > 1:
            self._wake_less(framing)
        if out:
            exchange.send(out)
        if framing.rest:
            exchange.received -= len(framing.rest)
            self._receive(framing.rest)

    def _queue(self, data: bytes | memoryview) -> None:
        """A pipelined request: kept until its turn, with reading stopped, so never more than one read of it."""
        self._buffer += data
        self.hold()

    def _discard(self, data: bytes | memoryview) -> None:
        self._dropped += len(data)
        self._idle_s = 0.0
        if self._dropped > self._proxy.config.linger_bytes_max:
            self.transport.abort()

    # What an exchange asks for.

    def hold(self) -> None:
        """Stop reading."""
        self._excused = True
        if not self._held and not self.transport.is_closing():
            self._held = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read on, unless a pipelined request is waiting."""
        if self._held and not (self._buffer and self.exchange is not None):
            self._held = False
            if not self.transport.is_closing():
                self.transport.resume_reading()

    def refused(self) -> None:
        """From now on the body is dropped; the answer may still be on its way from the node."""
        self._receive = self._discard
        self._wake_at(1)
        self._idle_s = self._linger_s = 0.0
        self.resume()

    def finished(self, *, keep_alive: bool) -> None:
        """The answer is complete: on to the next request, or linger, or close."""
        self.exchange = None
        self._idle_s = self._linger_s = 0.0
        if keep_alive and not self._ended:
            self._receive = self._collect
            if self._taking_paused:
                self.hold()  # Answers that it does not read must not pile up; `resume_writing` goes on.
            elif self._buffer:
                self._proxy.loop.call_soon(self._next)
            elif self._held:
                self.resume()
        elif self._receive == self._discard and not self._ended:
            if not self.transport.can_write_eof():
                self.transport.close()  # Under TLS this says so, then drops what comes until the client ends it.
            elif not self.transport.is_closing():
                self.transport.write_eof()
        else:
            self.transport.close()

    def _next(self) -> None:
        if self.transport.is_closing() or self.exchange is not None:
            return
        data, self._buffer = self._buffer, b""
        if data:
            self._receive(data)
        exchange = self.exchange
        if exchange is None or (exchange.link is not None and exchange.link.taking):
            self.resume()

    def broken(self) -> None:
        """The answer was cut short: end the connection with a reset, which no client takes for a complete answer."""
        self.exchange = None
        reset(self.transport)

    # The connection.

    def pause_writing(self) -> None:
        """The client reads too slowly: read no more from the node."""
        self._taking_paused = True
        if self.exchange is not None and self.exchange.link is not None:
            self.exchange.link.pause()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._taking_paused = False
        if self.exchange is None:
            self._proxy.loop.call_soon(self._next)
        elif self.exchange.link is not None:
            self.exchange.link.resume()

    def eof_received(self) -> bool:
        """The client has said all: a complete request is still answered, anything else is over."""
        self._ended = True
        if self.exchange is None:
            return False
        if self.exchange.request_done or self._receive == self._discard:
            return True
        self.exchange.client_left()
        self.exchange = None
        return False

    def connection_lost(self, _: Exception | None) -> None:
        """Gone."""
        if self.exchange is not None:
            self.exchange.client_left()
            self.exchange = None
        self._proxy.left(self)

    @property
    def idle(self) -> bool:
        """Between requests."""
        return self.exchange is None and self._receive == self._collect and not self._buffer

    # Deadlines.

    def check(self, seconds: float) -> None:
        """`seconds` went by since the last check: end what is over its time."""
        config, exchange = self._proxy.config, self.exchange
        self._idle_s += seconds
        if exchange is not None:
            self._check_exchange(exchange, seconds, body=self._receive == self._body)
            return
        if self._receive == self._discard:
            self._linger_s += seconds
            quiet = self._idle_s > config.linger_idle_s and not self.transport.is_closing()
            if self._linger_s > config.linger_s or quiet:
                self.transport.abort()
        elif self._buffer:
            if self._idle_s > config.head_s:
                self._refuse("too-slow", f"The head took longer than {config.head_s} s.")
        elif self._idle_s > config.idle_s:
            # A connection already closing has bytes left that nobody takes: end it the hard way.
            reset(self.transport) if self.transport.is_closing() else self.transport.close()
