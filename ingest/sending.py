"""Sends the answers of reads piece by piece, as fast as they are read, and holds each one's place until the last byte.

A piece is given to the kernel when the one before has gone there wholly, so that an answer nobody reads costs the body
that its place is charged for and what the kernel holds for one connection, which `landing.py` bounds. A reader below
the minimum rate is cut off, as an upload is: after the head there is no other way to say no.
"""

import asyncio
import time

from aiohttp import web

from .metrics import Metrics
from .reading import Reader, Reading

PIECE_BYTES = 64 * 1024
# Where a read leaves its place for the sender.
READER = web.RequestKey("reader", Reader)


class Sender:
    """Knows how slow a reader may be: `rate_bytes_s` on average after `grace_s` seconds."""

    def __init__(self, reading: Reading, metrics: Metrics, *, rate_bytes_s: int, grace_s: float) -> None:
        self._reading = reading
        self._metrics = metrics
        self._rate_bytes_s = rate_bytes_s
        self._grace_s = grace_s

    async def send(self, request: web.Request, response: web.StreamResponse) -> None:
        """Write the whole answer of a read; of any other call, aiohttp will. A client that goes is no error."""
        reader, transport = request.get(READER), request.transport
        if reader is None or transport is None or not isinstance(response, web.Response):
            return

        def shed() -> None:
            self._metrics.readers_cut("shed").inc()
            transport.abort()

        reader.on_shed = shed
        transport.set_write_buffer_limits(high=0)
        try:
            await self._write(request, response, reader)
        except TimeoutError:
            self._metrics.readers_cut("too-slow").inc()
            transport.abort()
        except ConnectionError:
            pass
        finally:
            reader.on_shed = None

    def leave(self, request: web.Request) -> None:
        """Give the place of a read back, whatever became of it."""
        if (reader := request.get(READER)) is not None:
            self._reading.release(reader)

    async def _write(self, request: web.Request, response: web.Response, reader: Reader) -> None:
        """TimeoutError when the reader is too slow; ConnectionError when it is gone."""
        begun = asyncio.get_running_loop().time()
        body = response.body if isinstance(response.body, bytes) and request.method != "HEAD" else b""
        async with asyncio.timeout_at(begun + self._grace_s) as patience:
            reader.moved_at = time.perf_counter()
            await response.prepare(request)
            if len(body) <= PIECE_BYTES:
                await response.write_eof()
                return
            for start in range(0, len(body), PIECE_BYTES):
                piece = memoryview(body)[start : start + PIECE_BYTES]
                patience.reschedule(begun + self._grace_s + (start + len(piece)) / self._rate_bytes_s)
                await response.write(piece)
                await request.writer.drain()
                reader.moved_at = time.perf_counter()
            await web.StreamResponse.write_eof(response)  # a Response's own would write its body again
