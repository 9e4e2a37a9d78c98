"""One connection to a node: reads the answer's head, follows its body to the end, and tells the exchange.

The node's side is always read, also while the request is still being written, because an early answer (401, 413, 503)
may come at any time. It knows nothing of clients, retries or health.
"""

import asyncio
import os
import select
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from ..http1.body import BodyError, Chunked, Counted, Framing, Nothing, Piece, UntilClose
from ..http1.errors import ResponseError
from ..http1.head import ResponseHead, parse_response
from ..placement.node import Node
from .ports import Receiver

READ_BYTES = 65536
NO_BODY = frozenset({*range(100, 200), 204, 304})  # RFC 9112 section 6.3, whatever length they name.


def _joined(out: Piece | list[Piece]) -> Piece:
    return b"".join(out) if isinstance(out, list) else out


class Link(asyncio.Protocol):
    """A keep-alive connection; idle in the pool while `receiver` is None.

    `reusable`: the next request may use it, once the answer is complete. `taking`: the write buffer has room.
    """

    def __init__(self, node: Node, *, head_bytes_max: int, write_bytes_max: int) -> None:
        self.node = node
        self.receiver: Receiver | None = None
        self.transport: asyncio.Transport
        self.alive = False
        self.used = 0
        self.idle_since = 0.0
        self.reusable = False
        self.taking = True
        self._head_bytes_max = head_bytes_max
        self._write_bytes_max = write_bytes_max
        self._fd = -1
        self._poll: Callable[[int], list[tuple[int, int]]]
        self.paused = False
        self._buffer = b""
        self._framing: Framing | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is made: set the limits, and prepare the poll of `stale`."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=self._write_bytes_max, low=self._write_bytes_max // 4)
        self._fd = transport.get_extra_info("socket").fileno()
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        self._poll = poll.poll
        self.alive = True

    def begin(self, receiver: Receiver) -> None:
        """Serve this exchange: the next answer belongs to it."""
        self.receiver = receiver
        self.used += 1
        self.reusable = False
        self._framing = None
        self._buffer = b""

    def stale(self) -> bool:
        """Whether an idle connection can serve no more: the node has closed it, or sent bytes without a request."""
        # One poll finds an end of file, an error, and an answer without a request. It costs less than a lost request.
        return not self.alive or self.transport.is_closing() or bool(self._poll(0))

    def close(self) -> None:
        """End the connection now, whatever is in progress, without a further call to the receiver."""
        self.receiver = None
        self.alive = False
        self.transport.abort()

    def pause_answer(self) -> None:
        """Stop reading: the client does not read its answer."""
        if not self.paused and not self.transport.is_closing():
            self.paused = True
            self.transport.pause_reading()

    def resume_answer(self) -> None:
        """Read again: the client reads its answer."""
        if self.paused:
            self.paused = False
            if not self.transport.is_closing():
                self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Bytes from the node; without a request on the connection they end it."""
        receiver = self.receiver
        if receiver is None:
            # For example a 408, with which some servers end an idle connection.
            self.close()
            return
        try:
            if self._framing is None:
                rest = self._read_head(data, receiver)
                while rest and self.receiver is receiver:
                    rest = self._read_head(rest, receiver)
            else:
                self._read_body(data, receiver, self._framing)
        except (ResponseError, BodyError) as error:
            self._end(f"invalid answer: {error}", clean=False)

    def _read_head(self, data: bytes, receiver: Receiver) -> bytes:
        """Take the next head; returns what follows an interim one, in which the next head begins."""
        seen = len(self._buffer)
        data = self._buffer + data if seen else data
        end = data.find(b"\r\n\r\n", max(0, seen - 3))  # the blank line may have begun in what was seen before
        if end < 0 or end > self._head_bytes_max:
            if len(data) > self._head_bytes_max:
                raise ResponseError("response head too long")
            self._buffer = data
            return b""
        self._buffer = b""
        head = parse_response(data[: end + 2])
        if head.status == 101:
            # The balancer removes Upgrade: after a 101 the bytes would be no HTTP.
            raise ResponseError("switching protocols was not asked for")
        rest = data[end + 4 :]
        if head.length == len(rest) and head.status not in NO_BODY and not receiver.bodiless:
            # The whole answer came in one read, as most do: there is nothing to follow.
            self.reusable = head.keep_alive
            receiver.answered(head, rest, bounded=True)
            if self.receiver is receiver:
                self.receiver = None
                receiver.answer_done()
            return b""
        if head.status < 200:
            receiver.interim(head)
            return rest
        self._framing = framing = self._frame(head, receiver)
        bounded = not isinstance(framing, UntilClose)
        self.reusable = head.keep_alive and bounded
        # The first piece goes with the head, so that a short answer takes one write.
        receiver.answered(head, _joined(framing.feed(rest)) if rest else b"", bounded=bounded)
        if framing.done and self.receiver is receiver:
            self._complete(receiver, framing)
        return b""

    @staticmethod
    def _frame(head: ResponseHead, receiver: Receiver) -> Framing:
        """How the answer's body ends (RFC 9112 section 6.3)."""
        if receiver.bodiless or head.status in NO_BODY:
            return Nothing()
        if head.chunked:
            return Chunked(reframe=not receiver.http_1_0)
        return UntilClose() if head.length is None else Counted(head.length)

    def _read_body(self, data: bytes, receiver: Receiver, framing: Framing) -> None:
        out = _joined(framing.feed(data)) if data else b""
        if out:
            receiver.answer_data(out)
        if framing.done and self.receiver is receiver:
            self._complete(receiver, framing)

    def _complete(self, receiver: Receiver, framing: Framing) -> None:
        self.receiver = None
        if framing.rest:
            # Bytes behind the answer belong to no request: the next answer could be taken from them.
            self.reusable = False
        receiver.answer_done()

    def eof_received(self) -> None:
        """The node has closed its side; what is not written yet has no reader."""
        if self.receiver is None:
            # A dying process ends its idle connections: check the node at once.
            self.node.check_soon()
        self._end("the node closed the connection", clean=True)
        self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended: read what still waits in the socket, then tell the exchange."""
        if self.alive and self.receiver is None:
            self.node.check_soon()  # As at the end of file.
        self.alive = False
        if self.receiver is not None:
            # A node that answers and closes at once makes our next write fail while its answer is still unread.
            self._read_rest()
        self._end(str(exc) if exc else "the node closed the connection", clean=exc is None)

    def _read_rest(self) -> None:
        with suppress(OSError):
            while data := os.read(self._fd, READ_BYTES):
                self.data_received(data)
                if self.receiver is None:
                    return

    def _end(self, reason: str, *, clean: bool) -> None:
        """The connection has ended; that completes a body that ends with its connection and breaks any other answer."""
        receiver, self.receiver = self.receiver, None
        if receiver is None:
            return
        self.reusable = False
        if clean and isinstance(self._framing, UntilClose):
            receiver.answer_done()
        else:
            receiver.link_lost(reason)

    def pause_writing(self) -> None:
        """The write buffer is full."""
        self.taking = False
        if self.receiver is not None:
            self.receiver.pause_body()

    def resume_writing(self) -> None:
        """The write buffer has room."""
        self.taking = True
        if self.receiver is not None:
            self.receiver.resume_body()
