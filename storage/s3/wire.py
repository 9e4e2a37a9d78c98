"""The subset of HTTP/1.1 that calls to an object store need: head and buffers sent in one system call.

A general client costs more for one PUT than signing, checking and sending it. `reply.py` reads the answers; after one
whose end is known the connection is used again. The number of connections is bounded; the most recently used is reused
first. This file knows nothing of S3.
"""

import asyncio
import ssl
from collections.abc import Sequence
from typing import cast

from ..blobs import Buffer
from .reply import Reply, Said


class Wire(asyncio.Protocol):
    """One connection, with at most one request in progress."""

    def __init__(self, silence_s: float) -> None:
        self._silence_s = silence_s
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._reply = Reply(head_only=False)
        self._waiting: asyncio.Future[Said] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._unsent = 0
        self._moved = False
        self.usable = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    async def ask(self, parts: Sequence[Buffer], *, head_only: bool) -> Said:
        """Send a request and return the answer; ConnectionError, TimeoutError after `silence_s` without progress."""
        self._waiting = self._loop.create_future()
        self._reply = Reply(head_only=head_only)
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
        """Close at once and discard unsent bytes."""
        self.usable = False
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take part of the answer; bytes without a pending request close the connection."""
        if self._waiting is None or self._waiting.done():
            self.close()
            return
        self._moved = True
        try:
            self._reply.take(data)
        except ConnectionError as error:
            self._waiting.set_exception(error)
            return
        if self._reply.said:
            # If the answer came before the request was sent completely, the connection is in the middle of a body.
            self.usable = self._reply.keeps and not self._transport.get_write_buffer_size()
            self._waiting.set_result(self._reply.said)

    def connection_lost(self, exc: Exception | None) -> None:
        """Complete the pending request with the answer so far, or with an error."""
        self.usable = False
        if self._waiting is not None and not self._waiting.done():
            if exc is None:
                self._reply.ended()
            if self._reply.said:
                self._waiting.set_result(self._reply.said)
            else:
                self._waiting.set_exception(exc or ConnectionResetError("the store closed the connection"))

    def _look(self) -> None:
        """Time out the request, unless the store has taken or sent bytes since the last check."""
        unsent = self._transport.get_write_buffer_size()
        if unsent < self._unsent or self._moved:
            self._unsent, self._moved = unsent, False
            self._timer = self._loop.call_later(self._silence_s, self._look)
        elif self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(TimeoutError(f"the store was silent for {self._silence_s} s"))


class Wires:
    """A bounded pool of connections to one host."""

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
        """Send a request on an idle or new connection; ConnectionError, TimeoutError, OSError.

        `head_only`: the answer has no body. The server may have closed an idle connection: then the next idle one is
        tried, and finally a new one.
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
        """Close the idle connections; those in use close after their request."""
        while self._idle:
            self._idle.pop().close()
