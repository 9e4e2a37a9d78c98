"""The load generator: requests over a number of connections, each sent after the previous one was answered.

Every answer is checked.
"""

import asyncio
import ssl
import time
from typing import Final, cast

import msgspec

from ..errors import BenchError

ANSWER_START: Final = b"HTTP/1.1 200 "
ANSWER_END: Final = b"\r\n\r\nok"
# Many users, so that the hash of every balancer spreads them over all nodes.
USERS: Final = 1009
PATIENCE_S: Final = 60.0
PIECE_BYTES: Final = 4096
PAUSE_S: Final = 0.01
_HEAD: Final = (
    "POST /v1/moments/m1/posts HTTP/1.1\r\nHost: lb.example\r\nUser-Agent: phone/1.0 (iOS 17; iPhone15,2)\r\n"
    "Accept: */*\r\nAccept-Encoding: gzip, deflate\r\nAccept-Language: en-GB\r\nX-User: user-{user}\r\n"
    "Content-Type: multipart/form-data; boundary=0123456789abcdef\r\n"
    "Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1MTIzNDUifQ.c2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJl\r\n"
    "{framing}\r\n\r\n"
)


class LoadError(BenchError):
    """An answer was wrong, or the connection closed before it came."""


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """Requests with bodies of `body` bytes over `connections`; `fresh`: a new connection for each request.

    `paced`: the body is sent in pieces of `PIECE_BYTES`, one every `PAUSE_S`, like a phone with an uplink of 3 Mbit/s.
    `chunk`: the body is sent without a length, in chunks of so many bytes; 0 for a Content-Length.
    """

    body: int
    requests: int
    connections: int
    fresh: bool
    paced: bool = False
    chunk: int = 0


class Target(msgspec.Struct, frozen=True):
    """The address to send to, with TLS when `context` is given."""

    port: int
    context: ssl.SSLContext | None = None


class Caller(asyncio.Protocol):
    """One client connection with at most one request in flight."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self._answer: asyncio.Future[None] | None = None
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, which requests are written to."""
        self.transport = cast("asyncio.Transport", transport)

    def ask(self, parts: list[bytes]) -> asyncio.Future[None]:
        """Send one request; the future completes when its answer has come."""
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.writelines(parts)
        return self._answer

    async def say_slowly(self, body: bytes) -> None:
        """Send the body of a request whose head was sent, piece by piece."""
        for at in range(0, len(body), PIECE_BYTES):
            self.transport.write(body[at : at + PIECE_BYTES])
            await asyncio.sleep(PAUSE_S)

    def data_received(self, data: bytes) -> None:
        """Read the answer, which may come in pieces."""
        self._read += data
        if self._answer is None or not self._read.startswith(ANSWER_START[: len(self._read)]):
            self._fail(repr(self._read[:200]))
        elif self._read.endswith(ANSWER_END):
            self._read = b""
            self._answer.set_result(None)

    def connection_lost(self, _: Exception | None) -> None:
        """Fail the request in flight, if there is one."""
        self._fail("the connection ended without an answer")

    def _fail(self, reason: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(LoadError(reason))


def head(user: int, length: int | None) -> bytes:
    """A request head as a phone sends it; of a chunked body without a length."""
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    return _HEAD.format(user=user % USERS, framing=framing).encode()


def chunked(body: bytes, size: int) -> bytes:
    """The body in chunks of this size, with their end."""
    pieces = (body[at : at + size] for at in range(0, len(body), size))
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


async def connected(target: Target) -> Caller:
    """Open a new connection to the target."""
    loop = asyncio.get_running_loop()
    name = "lb.example" if target.context else None
    _, caller = await loop.create_connection(Caller, "127.0.0.1", target.port, ssl=target.context, server_hostname=name)
    return caller


async def run(target: Target, load: Load) -> tuple[float, list[float]]:
    """Run the load; returns its seconds and each request's milliseconds, with connecting when connections are fresh."""
    body = chunked(bytes(load.body), load.chunk) if load.chunk else bytes(load.body)
    heads = [head(user, None if load.chunk else load.body) for user in range(USERS)]
    latencies: list[float] = []
    begun = 0

    async def caller_loop() -> None:
        nonlocal begun
        caller: Caller | None = None
        while begun < load.requests:
            user, begun = begun % USERS, begun + 1
            start = time.perf_counter()
            if caller is None:
                caller = await connected(target)
            if load.paced:
                answered = caller.ask([heads[user]])
                await caller.say_slowly(body)
                await answered
            else:
                await caller.ask([heads[user], body] if body else [heads[user]])
            latencies.append((time.perf_counter() - start) * 1000)
            if load.fresh:
                caller.transport.close()
                caller = None
        if caller is not None:
            caller.transport.close()

    start = time.perf_counter()
    # Closed loop, because the contest compares the cost of a request and not the behaviour of a queue.
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
        for _ in range(load.connections):
            tasks.create_task(caller_loop())
    return time.perf_counter() - start, latencies
