"""A server that lands bodies, and a pace whose deadline the test decides."""

import asyncio
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from ingest.answering import malformed
from ingest.body.doorway import listening
from ingest.body.landing import Landing
from ingest.body.pace import Pace


class Field:
    """A sink that remembers; `bad_at` makes it refuse when so many bytes have come."""

    def __init__(self, length: int, bad_at: int | None = None) -> None:
        self.data, self.count, self.looks, self.bad_at = bytearray(length), 0, 0, bad_at

    def room(self) -> memoryview:
        """Behind what came."""
        return memoryview(self.data)[self.count :]

    def landed(self, count: int) -> None:
        """Count it."""
        self.count += count
        self.looks += 1
        if self.bad_at is not None and self.count >= self.bad_at:
            raise ValueError("bad")


# Of the last tests, as long as anybody holds them.
FIELDS: deque[weakref.ref[Field]] = deque(maxlen=9)


class FakePace(Pace):
    """A pace whose deadline the test decides, by how many bytes came."""

    def __init__(self, due: Callable[[int], float]) -> None:
        super().__init__(0.0, grace_s=1, stall_s=1, rate=1)
        self._asked = due
        self.pardoned = 0.0

    def due(self) -> float:
        """As the test says."""
        return self._asked(self.received)

    def pardon(self, seconds: float) -> None:
        """Remember."""
        self.pardoned += seconds


@asynccontextmanager
async def serving(
    *,
    bad_at: int | None = None,
    due: Callable[[int], float] = lambda _: 1e12,
    pace: Callable[[Callable[[int], float]], Pace] = FakePace,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter, asyncio.Event]]:
    """A server whose handler lands bodies and says how many bytes were `x`; a connection; an event: a landing began."""
    begun = asyncio.Event()

    async def handler(request: web.Request) -> web.Response:
        field = Field(request.content_length or 0, bad_at)
        FIELDS.append(weakref.ref(field))
        while early := request.content.read_nowait():
            field.data[field.count : field.count + len(early)] = early
            field.landed(len(early))
        try:
            if field.room():
                begun.set()
                await Landing(request, field, pace(due)).run()
        except (ValueError, TimeoutError, ConnectionError) as error:
            return web.Response(status=400, text=type(error).__name__)
        return web.Response(text=str(field.data.count(b"x")), headers={"Looks": str(field.looks)})

    app = web.Application()
    app.router.add_post("/", handler)
    app.router.add_get("/", handler)
    async with listening(web.AppRunner(app, access_log=None, lingering_time=0.1), "127.0.0.1", 0, malformed) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        yield reader, writer, begun
        writer.close()


async def answer(reader: asyncio.StreamReader) -> tuple[int, str]:
    """Status and text of one answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return int(head.split()[1]), (await reader.readexactly(length)).decode()


def head(length: int) -> bytes:
    """Of a POST."""
    return b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % length
