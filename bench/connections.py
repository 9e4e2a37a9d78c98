"""The connections of the reference client: one HTTP/1.1 request each, as cheap as Python can send it.

A connection ends within a body where a trace says so. Knows nothing of pairs, tickets and retries: see `client`.
"""

import asyncio
import contextlib
import socket
import ssl
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from typing import Final, Self, cast
from urllib.parse import urlsplit

import msgspec

from .answers import STATUS, NoAnswer, Response, content, fields
from .clock import Clock

Buffer = bytes | memoryview

ANSWER_BYTES_MAX: Final = 1024 * 1024
# A name may move to another balancer in the middle of a burst; looking it up for each upload would cost more than the
# upload.
ADDRESS_TTL_S: Final = 10.0
CHUNK_BYTES_MIN: Final = 4096
CHUNK_BYTES_MAX: Final = 65536
CHUNKS_PER_S: Final = 8  # of a paced uplink: fine enough for the server, coarse enough for one Python process
CONTINUE: Final = 100
SUPPORTED: Final = 104
HEAD_END: Final = b"\r\n\r\n"


class Broken(NoAnswer):
    """The connection ended where the trace says that it does."""


class Trip(msgspec.Struct):
    """What becomes of a request whether or not it is answered.

    `until`: bytes of its body after which the connection ends; `sent`: bytes of its body that were handed to the
    system; `told`: the fields of its 104s.
    """

    until: int | None = None
    sent: int = 0
    told: dict[str, str] = {}


class Address(msgspec.Struct, frozen=True):
    """Where a target is, resolved."""

    family: int
    host: str
    port: int


# A generator of load must cost less than what it measures: a request is one write of bytes made before, and an answer
# is read by the few fields that the client needs. General clients spend most of their time on the rest.
class Connection(asyncio.Protocol):
    """One connection with at most one request in flight; `answered` ends with its answer, `asked` with a 100."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport
        self.closed = False
        self.whole = False  # the request was sent to its end: only then may another one follow
        self.asked: asyncio.Future[None] = loop.create_future()
        self.answered: asyncio.Future[Response] = loop.create_future()
        self.trip = Trip()
        self.bodiless = False  # the request is a HEAD
        self._read = bytearray()
        self._writable: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, which requests are written to."""
        self.transport = cast("asyncio.Transport", transport)

    def again(self) -> None:
        """Prepare for another request on this connection."""
        loop = asyncio.get_running_loop()
        self.asked, self.answered, self._read = loop.create_future(), loop.create_future(), bytearray()
        self.whole = False

    def data_received(self, data: bytes) -> None:
        """Read the answer, which may come in pieces and after interim answers."""
        self._read += data
        try:
            self._parse(ended=False)
            if len(self._read) > ANSWER_BYTES_MAX:
                raise NoAnswer(f"an answer of more than {ANSWER_BYTES_MAX} bytes")  # noqa: TRY301 -- one way to fail
        except NoAnswer as error:
            self._fail(error)
            self.transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        """An answer without a length ends here; any other request in flight has failed."""
        self.closed = True
        if not self.answered.done():
            with contextlib.suppress(NoAnswer):
                self._parse(ended=True)
        self._fail(NoAnswer(str(error or "the connection ended without an answer")))

    def pause_writing(self) -> None:
        """The socket's buffer is full."""
        self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """The socket takes more."""
        waiting, self._writable = self._writable, None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    async def drained(self) -> None:
        """Return when the socket takes more, or an answer or the end of the connection makes sending pointless."""
        if self._writable is not None and not self.answered.done():
            await self._writable

    def _wake(self) -> None:
        """Nobody need wait any more for a 100, or to send."""
        if not self.asked.done():
            self.asked.set_result(None)
        self.resume_writing()

    def _fail(self, error: NoAnswer) -> None:
        if not self.answered.done():
            self.answered.set_exception(error)
            self.answered.exception()  # seen: the request may have been given up
        self._wake()

    def _parse(self, *, ended: bool) -> None:
        if self.answered.done():
            return
        while (end := self._read.find(HEAD_END)) >= 0:
            found = STATUS.match(self._read)
            if found is None:
                raise NoAnswer(f"not HTTP/1: {bytes(self._read[:60])!r}")
            status = int(found[1])
            if status < 200:
                if status == SUPPORTED:
                    self.trip.told = self.trip.told | fields(bytes(self._read[:end]))
                del self._read[: end + 4]
                if status == CONTINUE and not self.asked.done():
                    self.asked.set_result(None)
                continue
            headers = fields(bytes(self._read[:end]))
            rest = memoryview(self._read)[end + 4 :]
            body = b"" if self.bodiless else content(status, headers, rest, ended=ended)
            if body is not None:
                kept = not ended and headers.get("connection", "").lower() != "close"
                self.answered.set_result(Response(status, headers, body, kept))
                self._wake()
            return


class Connections:
    """Opens connections to targets, one per request (`fresh`) or kept open between requests; at most `most` at once."""

    def __init__(self, most: int, clock: Clock, *, fresh: bool = True) -> None:
        self.fresh = fresh
        self._slots, self._clock = asyncio.Semaphore(most), clock
        self._idle: dict[str, list[Connection]] = defaultdict(list)
        self._addresses: dict[str, tuple[float, Address]] = {}
        self._tls: ssl.SSLContext | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for idle in self._idle.values():
            for connection in idle:
                connection.transport.close()

    async def post(
        self, target: str, head: bytes, body: Buffer, *, pace: int | None, asks: bool, trip: Trip | None = None
    ) -> Response:
        """Send the head, then the body at `pace` bytes/s; when it `asks`, only after a 100.

        Raises OSError (NoAnswer among it) when there is no answer, and Broken where the trip ends early.
        """
        async with self.opened(target) as connection:
            return await self.exchange(connection, head, body, pace=pace, asks=asks, trip=trip)

    async def exchange(
        self, connection: Connection, head: bytes, body: Buffer, *, pace: int | None, asks: bool, trip: Trip | None
    ) -> Response:
        """One request on an open connection, as `post` sends it."""
        connection.trip = trip or Trip()
        if asks:
            connection.transport.write(head)
            # After `Expect: 100-continue` no byte of the body before the server asks for it.
            await connection.asked
            if not connection.answered.done():
                await self._send(connection, b"", body, pace)
        else:
            await self._send(connection, head, body, pace)
        return await connection.answered

    async def look(self, connection: Connection, head: bytes) -> Response:
        """The answer to a HEAD; afterwards the connection takes another request if the answer says `kept`."""
        connection.bodiless = connection.whole = True
        connection.transport.write(head)
        found = await connection.answered
        connection.bodiless = False
        if not connection.closed:
            connection.again()
        return found

    async def _send(self, connection: Connection, head: bytes, body: Buffer, pace: int | None) -> None:
        """The body at the uplink's rate: each chunk waits until the chunks before it would have left the phone."""
        trip, size = connection.trip, CHUNK_BYTES_MAX
        if pace:
            size = min(max(pace // CHUNKS_PER_S, CHUNK_BYTES_MIN), CHUNK_BYTES_MAX)
        end = len(body) if trip.until is None else min(trip.until, len(body))
        if size >= len(body) == end:
            connection.transport.writelines((head, body))
            connection.whole, trip.sent = True, end
            return
        began, view = self._clock.now(), memoryview(body)[:end]
        connection.transport.writelines((head, view[:size]))
        for at in range(size, end, size):
            trip.sent = at
            if pace:
                await self._clock.sleep(began + at / pace - self._clock.now())
            await connection.drained()
            # No further once an answer has come: the server has decided.
            if connection.answered.done():
                return
            connection.transport.write(view[at : at + size])
        trip.sent = end
        if end < len(body):
            await self._break(connection, began + end / pace if pace else began)
        connection.whole = end == len(body)

    async def _break(self, connection: Connection, at: float) -> None:
        """End the connection at this time, unless it was answered early."""
        await self._clock.sleep(at - self._clock.now())
        await connection.drained()
        if not connection.answered.done():
            # What still waits in our own buffer never left the phone.
            connection.trip.sent -= min(connection.transport.get_write_buffer_size(), connection.trip.sent)
            raise Broken(f"the trace ends this connection after {connection.trip.sent} bytes of the body")

    @contextlib.asynccontextmanager
    async def opened(self, target: str) -> AsyncIterator[Connection]:
        """A connection for one request, or for several in a row; closed unless the last answer keeps it open."""
        async with self._slots:
            connection, kept = await self._open(target), False
            try:
                yield connection
                kept = not self.fresh and connection.whole and connection.answered.result().kept
            finally:
                if kept and not connection.closed:
                    connection.again()
                    self._idle[target].append(connection)
                else:
                    connection.transport.abort()  # close would send on what is left of the body

    async def _open(self, target: str) -> Connection:
        idle = self._idle[target]
        while idle:
            connection = idle.pop()
            if not connection.closed:
                return connection
        parts = urlsplit(target)
        address = await self._address(target, parts.hostname or "", parts.port)
        tls = None
        if parts.scheme == "https":
            self._tls = tls = self._tls or ssl.create_default_context()
        _, opened = await asyncio.get_running_loop().create_connection(
            cast("Callable[[], Connection]", Connection),
            address.host,
            address.port,
            family=address.family,
            ssl=tls,
            server_hostname=parts.hostname if tls else None,
        )
        return opened

    async def _address(self, target: str, host: str, port: int | None) -> Address:
        """The target's address, looked up again after `ADDRESS_TTL_S`."""
        until, known = self._addresses.get(target, (0.0, None))
        if known is None or until <= self._clock.now():
            wanted = port or (443 if target.startswith("https:") else 80)
            found = await asyncio.get_running_loop().getaddrinfo(host, wanted, type=socket.SOCK_STREAM)
            family, _, _, _, where = found[0]
            known = Address(family, str(where[0]), int(where[1]))
            self._addresses[target] = (self._clock.now() + ADDRESS_TTL_S, known)
        return known
