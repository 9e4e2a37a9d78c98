"""One connection to a node: reads the answer's head, follows its body to the end, tells the exchange what came.

The node side is always read, also while the request is still being written, because an early answer (401, 413, 503)
comes at any time. A node that answers and closes hard makes our next write fail while its answer still waits in the
receive buffer; so when the connection is lost the socket is read dry before the loss is believed.
It knows nothing of clients, retries or health.
"""

import asyncio
import os
import select
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from ..http1.body import BodyError, Chunked, Counted, Framing, Nothing, UntilClose
from ..http1.errors import ResponseError
from ..http1.head import ResponseHead, parse_response
from .ports import Receiver

if TYPE_CHECKING:
    from ..placement.fleet import Node

READ_BYTES = 65536
NO_BODY = frozenset({*range(100, 200), 204, 304})  # RFC 9112 section 6.3, whatever length they speak of.


class Link(asyncio.Protocol):
    """A keep-alive connection; idle in the pool while `receiver` is None."""

    def __init__(self, node: "Node", *, head_bytes_max: int, write_bytes_max: int) -> None:
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
        self._look: Callable[[int], list[tuple[int, int]]]
        self.paused = False
        self._buffer = b""
        self._framing: Framing | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=self._write_bytes_max, low=self._write_bytes_max // 4)
        self._fd = transport.get_extra_info("socket").fileno()
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        self._look = poll.poll
        self.alive = True

    def begin(self, receiver: Receiver) -> None:
        """The next answer belongs to this exchange."""
        self.receiver = receiver
        self.used += 1
        self.reusable = False
        self._framing = None
        self._buffer = b""

    def stale(self) -> bool:
        """Whether the node has closed or spoken out of turn; one look, so that no request is risked on it."""
        # The look finds an end of file, an error, or an answer that nobody asked for.
        return not self.alive or self.transport.is_closing() or bool(self._look(0))

    def close(self) -> None:
        """End it now, whatever is under way; no further word to the receiver."""
        self.receiver = None
        self.alive = False
        self.transport.abort()

    def pause(self) -> None:
        """Read no more for now."""
        if not self.paused and not self.transport.is_closing():
            self.paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self.paused:
            self.paused = False
            if not self.transport.is_closing():
                self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Bytes from the node."""
        receiver = self.receiver
        if receiver is None:
            self.close()
            return
        try:
            if self._framing is None:
                self._read_head(data, receiver)
            else:
                self._read_body(data, receiver, self._framing)
        except (ResponseError, BodyError) as error:
            self._end(f"invalid answer: {error}", clean=False)

    def _read_head(self, data: bytes, receiver: Receiver) -> None:
        seen = len(self._buffer)
        data = self._buffer + data if seen else data
        end = data.find(b"\r\n\r\n", max(0, seen - 3))
        if end < 0 or end > self._head_bytes_max:
            if len(data) > self._head_bytes_max:
                raise ResponseError("response head too long")
            self._buffer = data
            return
        self._buffer = b""
        head = parse_response(data[: end + 2])
        if head.status == 101:
            raise ResponseError("switching protocols was not asked for")
        rest = data[end + 4 :]
        if head.length == len(rest) and head.status not in NO_BODY and not receiver.bodiless:
            # The whole answer in one read, as most are: nothing to follow.
            self.reusable = head.keep_alive
            receiver.answered(head, rest, bounded=True)
            if self.receiver is receiver:
                self.receiver = None
                receiver.answer_done()
            return
        if head.status < 200:
            receiver.interim(head)
            if rest and self.receiver is receiver:
                self._read_head(rest, receiver)
            return
        self._framing = framing = self._frame(head, receiver)
        bounded = not isinstance(framing, UntilClose)
        self.reusable = head.keep_alive and bounded
        # The first piece goes with the head, so that a short answer is one write.
        receiver.answered(head, framing.feed(rest) if rest else b"", bounded=bounded)
        if framing.done and self.receiver is receiver:
            self._complete(receiver, framing)

    @staticmethod
    def _frame(head: ResponseHead, receiver: Receiver) -> Framing:
        """How the answer's body ends (RFC 9112 section 6.3)."""
        if receiver.bodiless or head.status in NO_BODY:
            return Nothing()
        if head.chunked:
            return Chunked(reframe=not receiver.plain)
        return UntilClose() if head.length is None else Counted(head.length)

    def _read_body(self, data: bytes, receiver: Receiver, framing: Framing) -> None:
        out = framing.feed(data) if data else b""
        if out:
            receiver.answer_data(out)
        if framing.done and self.receiver is receiver:
            self._complete(receiver, framing)

    def _complete(self, receiver: Receiver, framing: Framing) -> None:
        self.receiver = None
        if framing.rest:
            self.reusable = False
        receiver.answer_done()

    def eof_received(self) -> None:
        """The node has said all; what we still wanted to write has no reader."""
        if self.receiver is None:
            self.node.check_at = 0.0  # It ended an idle connection, as a dying process does: check it at once.
        self._end("the node closed the connection", clean=True)
        self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Read what still waits in the socket, then end."""
        if self.alive and self.receiver is None:
            self.node.check_at = 0.0  # As at the end of file.
        self.alive = False
        if self.receiver is not None:
            self._read_dry()
        self._end(str(exc) if exc else "the node closed the connection", clean=exc is None)

    def _read_dry(self) -> None:
        with suppress(OSError):
            while data := os.read(self._fd, READ_BYTES):
                self.data_received(data)
                if self.receiver is None:
                    return

    def _end(self, reason: str, *, clean: bool) -> None:
        """No more comes: a clean end completes a body that ends with its connection, and breaks any other answer."""
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
            self.receiver.hold_body()

    def resume_writing(self) -> None:
        """The write buffer has room."""
        self.taking = True
        if self.receiver is not None:
            self.receiver.resume_body()
