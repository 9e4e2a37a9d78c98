"""One client connection: collects heads, frames bodies, keeps requests in order, and ends without losing an answer.

`State` says what the next bytes mean. Reading pauses while the node takes no bytes, so that at most one read's worth
waits here. `check` runs once a second and compares all deadlines; the hot path reads no clock.
"""

import asyncio
from collections.abc import Callable
from enum import IntEnum
from typing import cast

from ..http1.body import BodyError, Chunked, Counted, Framing, Nothing
from ..http1.errors import PROBLEMS, RequestError, problem
from ..http1.head import RequestHead, find_request
from ..http1.keys import READS
from ..http1.origin import Origin
from .access import refusal
from .context import Context
from .deadlines import Deadline, Progress, between_requests, lingering
from .exchange import Exchange
from .ports import Registry
from .tank import VIEW_BYTES_MIN
from .tcp import reset
from .waking import PIECE_BYTES, Waking

HEAD_BYTES_USUAL = 2048  # A phone's head has 300 to 900 bytes.
CHUNKED_READ_BYTES = 32768  # Some 5 ms of work when the body comes in chunks of one byte.
NOTHING = Nothing()  # Never fed: after a head without a body the state is PIPELINED.


class State(IntEnum):
    """What the next bytes from the client are; a whole number, because it indexes `_TAKES`."""

    HEAD = 0  # The head of a request.
    BODY = 1  # The body of the request in progress.
    PIPELINED = 2  # The next request, while the one in progress is not answered: they wait.
    DISCARD = 3  # The rest of a refused body: they are dropped.


# Looked up once: on Python 3.11 `State.BODY` costs three plain names.
HEAD, BODY, PIPELINED, DISCARD = State


class Client(asyncio.BufferedProtocol):
    """An accepted connection; `address` is the client's where a PROXY header named another than the socket's peer."""

    # A connection's first values stand in the class; an instance sets what changes.
    exchange: Exchange | None = None
    origin = Origin(b"", b"")
    trusted = False
    fresh = True  # No request has come yet.
    address = b""
    state = HEAD
    _buffer = b""  # An incomplete head, or a pipelined request.
    _framing: Framing = NOTHING
    _progress: Progress | None = None  # Of the request in progress, once it has lasted for a check.
    _waking: Waking | None = None  # While the body in progress is read in larger pieces.
    _ended = False  # The client has half-closed the connection.
    _reading_paused = _paused_since_check = _answer_paused = False
    _discarded = 0
    _idle_s = _linger_s = 0.0

    def __init__(self, context: Context, registry: "Registry[Client]", address: str = "") -> None:
        self._context = context
        self._tank = context.tank
        self._registry = registry
        self._named_address = address
        self.transport: asyncio.Transport
        self.write: Callable[[bytes | memoryview], None]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accepted; answered with 503 when there are too many connections."""
        self.transport = cast("asyncio.Transport", transport)
        self.write = self.transport.write
        peer = transport.get_extra_info("peername")
        address = self._named_address or (peer[0] if peer else "unknown")
        self.address = address.encode()
        self.origin = Origin(self.address, self.address, proto=self._context.proto)
        self.trusted = self._context.trusts(address)
        high = self._context.config.write_bytes_max
        self.transport.set_write_buffer_limits(high=high, low=high // 4)
        # Even a connection over the limit gets an answer, so it is added first and refused after.
        if not self._registry.admit(self):
            self._refuse("overloaded", "")

    def get_buffer(self, _: int) -> memoryview:
        """Where the next read goes."""
        # All bytes of a chunked body may be framing, which is work byte by byte: of tiny chunks take less in one go.
        fine = isinstance(self._framing, Chunked) and not self._framing.coarse
        return self._tank.view[:CHUNKED_READ_BYTES] if fine else self._tank.view

    def buffer_updated(self, count: int) -> None:
        """`count` bytes were read into the buffer, which is valid until the next read of any connection."""
        view = self._tank.view[:count]
        if count < VIEW_BYTES_MIN:
            _TAKES[self.state](self, bytes(view))
            return
        _TAKES[self.state](self, view)
        if self.exchange is not None:
            self.exchange.release_views()

    def data_received(self, data: bytes | memoryview) -> None:
        """The same, with bytes of their own, or a view of bytes that are only counted."""
        _TAKES[self.state](self, data)

    # Heads.

    def _take_head(self, data: bytes | memoryview) -> None:
        # Almost every head ends within its first bytes; the body behind it stays where it is.
        start = bytes(data[:HEAD_BYTES_USUAL])
        try:
            parsed = None if self._buffer else find_request(start, self._context.config.head_bytes_max)
            if parsed is None:
                start = data = self._buffer + data if self._buffer else bytes(data)
                parsed = find_request(start, self._context.config.head_bytes_max, len(self._buffer))
            if parsed:
                self._context.check_head(parsed[0])
        except RequestError as error:
            self._refuse(error.code, error.detail, bodiless=start.lstrip(b"\r\n").startswith(b"HEAD "))
            return
        if parsed is None:
            # The time of a head counts from its first byte, so later bytes do not extend it.
            self._idle_s = self._idle_s if self._buffer else 0.0
            self._buffer = start
            return
        self._buffer, (head, end) = b"", parsed
        exchange = self._begin(head)
        if end < len(data):
            # Before the start, so that head and body leave by one system call; `_unsent` keeps it until a link exists.
            _TAKES[self.state](self, data[end:])
        if self.exchange is exchange:
            # Not when the first bytes of the body were malformed: then the exchange has ended.
            exchange.start()

    def _begin(self, head: RequestHead) -> Exchange:
        self.exchange = exchange = Exchange(self._context, self, head)
        self.fresh = False
        self._progress = None
        if head.chunked:
            self._framing = Chunked()
        elif head.length:
            self._framing = Counted(head.length)
        else:
            self._framing = NOTHING
            self._reads = head.method in READS
            exchange.request_done = True
            self.state = PIPELINED
            return exchange
        self.state = BODY
        return exchange

    def _refuse(self, code: str, detail: str, *, bodiless: bool = False) -> None:
        """Answer a head that makes no valid request; what follows cannot be trusted to be a request."""
        context = self._context
        context.counters.heads_refused += 1
        self._buffer = b""
        request_id = context.new_id()
        if context.note:
            context.note(refusal(context.unix_us(0.0), request_id, self.address, PROBLEMS[code].status))
        self.write(problem(code, request_id, detail=detail, retry_after_s=context.retry_after_s(), bodiless=bodiless))
        self.discard_body()
        self.finished(keep_alive=False)

    # Bodies.

    def _take_body(self, data: bytes | memoryview) -> None:
        exchange, framing = self.exchange, self._framing
        if exchange is None:
            return
        exchange.received += len(data)
        try:
            out = framing.feed(data)
        except BodyError as error:
            exchange.fail("bad-request", f"The body is malformed: {error}.")
            return
        # A chunked body is counted with its framing. Bytes of a pipelined request behind it do not count.
        if exchange.received > self._context.config.body_bytes_max + len(framing.rest):
            exchange.fail("too-large")
            return
        if framing.done:
            exchange.request_done = True
            exchange.uploaded = self._context.loop.time()
            self.state = PIPELINED
            if self._waking is not None:
                self._wake_always(self._waking)
        elif len(data) < PIECE_BYTES or self._waking is not None:
            self._wake_less(framing)
        if out:
            exchange.send(out)
        if framing.rest:
            exchange.received -= len(framing.rest)
            _TAKES[self.state](self, framing.rest)

    def _wake_less(self, framing: Framing) -> None:
        """The body comes in small pieces: read it in larger ones, as many bytes as must come."""
        waking = self._waking = self._waking or Waking(self.transport)
        waking.at(framing.left)

    def record_begun(self) -> None:
        """Bytes of a TLS record came, but no end of one: wait for the rest of it."""
        if self._waking is not None:
            self._waking.at(self._framing.left)

    def _wake_always(self, waking: Waking) -> None:
        """Every byte wakes again: the end of what comes next is not known."""
        waking.always()
        self._waking = None

    def _take_pipelined(self, data: bytes | memoryview) -> None:
        """Keep a pipelined request until its turn, with reading paused: at most one read's worth."""
        self._buffer += data
        self.pause_body()

    def _take_discarded(self, data: bytes | memoryview) -> None:
        self._discarded += len(data)
        self._idle_s = 0.0
        if self._discarded > self._context.config.linger_bytes_max:
            self.transport.abort()

    # What the exchange asks for.

    def pause_body(self) -> None:
        """Stop reading until `resume_body`."""
        self._paused_since_check = True
        if not self._reading_paused and not self.transport.is_closing():
            self._reading_paused = True
            self.transport.pause_reading()

    def resume_body(self) -> None:
        """Read again, unless a pipelined request waits."""
        if self._reading_paused and not (self._buffer and self.exchange is not None):
            self._reading_paused = False
            if not self.transport.is_closing():
                self.transport.resume_reading()

    def discard_body(self) -> None:
        """Drop the rest of the body; the answer may still be on its way from the node."""
        self.state = DISCARD
        if self._waking is not None:
            self._wake_always(self._waking)
        self._idle_s = self._linger_s = 0.0
        self.resume_body()

    def finished(self, *, keep_alive: bool) -> None:
        """The answer is complete: go on to the next request, or linger, or close."""
        self.exchange = None
        self._idle_s = self._linger_s = 0.0
        if keep_alive and not self._ended:
            self.state = HEAD
            if self._answer_paused:
                # The client does not read its answers: they must not pile up. `resume_writing` goes on.
                self.pause_body()
            elif self._buffer:
                self._context.loop.call_soon(self._next)
            elif self._reading_paused:
                self.resume_body()
        elif self.state is DISCARD and not self._ended:
            # Linger: half-close, read and drop for a bounded time. Closing while body still comes would send a reset
            # that destroys the answer on its way (RFC 9112 section 9.6).
            if not self.transport.is_closing():
                self.transport.write_eof()
        else:
            self.transport.close()

    def _next(self) -> None:
        """Take the pipelined request that waits; from the loop, so that thousands of them do not nest."""
        if self.transport.is_closing() or self.exchange is not None:
            return
        data, self._buffer = self._buffer, b""
        if data:
            _TAKES[self.state](self, data)
        if self.exchange is None or self.exchange.takes_body:
            self.resume_body()

    def answer_broken(self) -> None:
        """The answer was cut short: end the connection with a reset, which no client takes for a complete answer."""
        self.exchange = None
        reset(self.transport)

    # The connection.

    def pause_writing(self) -> None:
        """The client reads too slowly: read no more from the node."""
        self._answer_paused = True
        if self.exchange is not None:
            self.exchange.pause_answer()

    def resume_writing(self) -> None:
        """The client has read what waited: read from the node again."""
        self._answer_paused = False
        if self.exchange is None:
            self._context.loop.call_soon(self._next)
        else:
            self.exchange.resume_answer()

    def eof_received(self) -> bool:
        """The client has half-closed: a complete request is still answered, a read if it is soon; others are over."""
        self._ended = True
        if (exchange := self.exchange) is not None and not (exchange.request_done or self.state is DISCARD):
            exchange.client_left()
            self.exchange = None
        return self.exchange is not None

    def connection_lost(self, _: Exception | None) -> None:
        """The connection has ended."""
        if self.exchange is not None:
            self.exchange.client_left()
            self.exchange = None
        self._registry.left(self)

    @property
    def idle(self) -> bool:
        """Whether the connection is between requests."""
        return self.exchange is None and self.state is HEAD and not self._buffer

    # Deadlines.

    def check(self, seconds: float) -> None:
        """Find the deadline that has passed, `seconds` after the last check, and act on it."""
        config, exchange = self._context.config, self.exchange
        self._idle_s += seconds
        if exchange is not None:
            passed = self._check_exchange(exchange, seconds)
        elif self.state is DISCARD:
            self._linger_s += seconds
            passed = lingering(config, self._linger_s, self._idle_s, closing=self.transport.is_closing())
        else:
            passed = between_requests(config, self._idle_s, head_begun=bool(self._buffer))
        if passed is not None:
            self._end(passed)

    def _check_exchange(self, exchange: Exchange, seconds: float) -> Deadline | None:
        progress = self._progress = self._progress or Progress(self._context.config)
        exchange.pace = progress.pace
        paused, self._paused_since_check = self._paused_since_check, self._reading_paused
        return progress.check(
            seconds,
            received=exchange.received + (self._waking.unread() if self._waking is not None else 0),
            relayed=exchange.relayed,
            body_due=self.state is BODY,
            reading_paused=paused,
            awaits_continue=exchange.awaits_continue and not exchange.received,
            answer_paused=self._answer_paused,
            half_closed=self._ended and self._framing is NOTHING and self._reads and not exchange.status,
        )

    def _end(self, passed: Deadline) -> None:
        config, exchange = self._context.config, self.exchange
        if passed is Deadline.BODY and exchange is not None and self._progress is not None:
            exchange.fail("too-slow", f"The body came too slowly: {self._progress.pace}")
        elif passed in {Deadline.STALLED, Deadline.ANSWER} and exchange is not None:
            exchange.stalled(over=passed is Deadline.ANSWER)
        elif passed is Deadline.HEAD:
            self._refuse("too-slow", f"The head took longer than {config.head_s} s.")
        elif passed is Deadline.LINGER:
            self.transport.abort()
        elif self.transport.is_closing():
            # Already closing, but the client does not take the last bytes: end it with a reset.
            reset(self.transport)
        else:
            self.transport.close()


# By `State`: what takes the next bytes. A table of functions costs a read no call more than a bound method would.
_TAKES: tuple[Callable[[Client, bytes | memoryview], None], ...] = (
    Client._take_head,  # noqa: SLF001 - a table of the class above
    Client._take_body,  # noqa: SLF001
    Client._take_pipelined,  # noqa: SLF001
    Client._take_discarded,  # noqa: SLF001
)
