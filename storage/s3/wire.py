"""The subset of HTTP/1.1 that calls to an object store need: head and buffers sent in one system call.

A general client costs more for one PUT than signing, checking and sending it. `reply.py` reads the answers; after one
whose end is known the connection is used again. The number of connections is bounded; the most recently used is reused
first. A request without progress is reported after `DOUBT_S`, and times out later. A connection that the server ends
without need is reported too. This file knows nothing of S3.
"""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from typing import Final, cast

from ..blobs import Buffer
from .reply import Reply, Said

DOUBT_S: Final = 1.0  # Without progress for this long, the server may be down.
# Servers, and networks in between, drop idle connections after a minute or more, some without telling.
IDLE_S_MAX: Final = 30.0
# A server that ends a connection which was idle for less was restarted, or cut off (MinIO ends idle ones after 30 s).
BROKEN_S_MAX: Final = 25.0


class Unsent(ConnectionError):
    """There was no connection to the server: the request was surely not sent."""


class Silent(TimeoutError):
    """The server took or sent no byte for too long: whether it did what was asked is unknown."""


class GivenUp(OSError):
    """The request was sent, and then ended by `give_up`: whether the server did what was asked is unknown."""


class Wire(asyncio.Protocol):
    """One connection, with at most one request in progress.

    `doubted` is called while the server is silent, `broke` when it ended the connection without need.
    """

    def __init__(self, doubted: Callable[[], None], broke: Callable[[], None]) -> None:
        self._doubted = doubted
        self._broke = broke
        self._silence_s = self._look_s = DOUBT_S
        self._silent_s = 0.0
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._reply = Reply(head_only=False)
        self._waiting: asyncio.Future[Said] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._unsent = 0
        self._moved = False
        self.usable = True
        self.used_at = 0.0
        self.writes = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, which requests are written to."""
        self._transport = cast("asyncio.Transport", transport)

    async def ask(self, parts: Sequence[Buffer], silence_s: float, *, head_only: bool) -> Said:
        """Send a request and return the answer; ConnectionError, Silent after `silence_s` without progress."""
        self._silence_s = silence_s
        self._look_s = min(silence_s, DOUBT_S)
        self._waiting = self._loop.create_future()
        self._reply = Reply(head_only=head_only)
        self._transport.writelines(parts)
        self._unsent, self._moved = self._transport.get_write_buffer_size(), False
        self._silent_s = 0.0
        self._timer = self._loop.call_later(self._look_s, self._look)
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
        asked = self._waiting is not None and not self._waiting.done()
        if self.usable and (asked or self._loop.time() - self.used_at < BROKEN_S_MAX):
            self._broke()
        self.usable = False
        if self._waiting is not None and not self._waiting.done():
            if exc is None:
                self._reply.ended()
            if self._reply.said:
                self._waiting.set_result(self._reply.said)
            else:
                self._waiting.set_exception(exc or ConnectionResetError("the store closed the connection"))

    def fail(self, error: OSError) -> None:
        """End the pending request with this error; its connection is closed."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)

    def _look(self) -> None:
        """Report the silence, in the end time out the request; not if bytes went either way since the last check."""
        unsent = self._transport.get_write_buffer_size()
        if unsent < self._unsent or self._moved:
            self._unsent, self._moved, self._silent_s = unsent, False, 0.0
        else:
            self._silent_s += self._look_s
            if self._silent_s >= self._silence_s:
                self.fail(Silent(f"the store was silent for {self._silence_s:.3g} s"))
                return
            self._doubted()
        self._timer = self._loop.call_later(min(self._look_s, self._silence_s - self._silent_s), self._look)


class Wires:
    """Connections to one server; `slots` bounds how many requests are in progress, here and at other servers.

    `broke` is called before the request fails whose connection the server ended. With `steady`, a request that changes
    something then fails, instead of being sent on another connection, which may lead to a server that was restarted.
    """

    def __init__(
        self,
        host: str,
        port: int,
        trust: ssl.SSLContext | None,
        slots: asyncio.Semaphore,
        *,
        connect_timeout_s: float,
        doubted: Callable[[], None] = lambda: None,
        broke: Callable[[], None] = lambda: None,
        steady: bool = False,
    ) -> None:
        self._host, self._port, self._trust = host, port, trust
        self._connect_timeout_s = connect_timeout_s
        self._doubted, self._broke, self._steady = doubted, broke, steady
        self._idle: list[Wire] = []
        self._busy: set[Wire] = set()
        self._slots = slots

    async def ask(
        self, parts: Sequence[Buffer], *, now: float, silence_s: float, head_only: bool = False, writes: bool = False
    ) -> Said:
        """Send a request on an idle or new connection; Unsent, Silent after `silence_s`, GivenUp, ConnectionError.

        `now` is the loop's time when the caller began.

        `head_only`: the answer has no body. `writes`: the request changes something, see `give_up`. The server may have
        closed an idle connection: then the next idle one is tried, and finally a new one.
        """
        async with self._slots:
            while self._idle:
                wire = self._idle.pop()
                if wire.usable and wire.used_at > now - IDLE_S_MAX:
                    wire.used_at = now
                    try:
                        return await self._asked(wire, parts, silence_s, head_only, writes)
                    except ConnectionError:
                        if self._steady and writes:
                            raise
                        continue
                wire.close()
            fresh = await self.connected()
            fresh.used_at = now
            return await self._asked(fresh, parts, silence_s, head_only, writes)

    async def connected(self) -> Wire:
        """A new connection, which is not kept here; Unsent."""
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                _, fresh = await asyncio.get_running_loop().create_connection(
                    lambda: Wire(self._doubted, self._broke), self._host, self._port, ssl=self._trust
                )
        except TimeoutError:
            raise Unsent(f"no connection within {self._connect_timeout_s} s") from None
        except OSError as error:
            raise Unsent(f"{type(error).__name__}: {error}") from error
        return fresh

    async def _asked(
        self,
        wire: Wire,
        parts: Sequence[Buffer],
        silence_s: float,
        head_only: bool,  # noqa: FBT001 - keywords cost more
        writes: bool,  # noqa: FBT001 - the same
    ) -> Said:
        wire.writes = writes
        self._busy.add(wire)
        try:
            said = await wire.ask(parts, silence_s, head_only=head_only)
        finally:
            self._busy.discard(wire)
        if wire.usable:
            self._idle.append(wire)
        else:
            wire.close()
        return said

    def give_up(self, why: str, *, writes_only: bool) -> None:
        """End the requests in progress with GivenUp, or only those that change something."""
        for wire in self._busy:
            if wire.writes or not writes_only:
                wire.fail(GivenUp(why))

    def close(self) -> None:
        """Close the idle connections; those in use close after their request."""
        while self._idle:
            self._idle.pop().close()
