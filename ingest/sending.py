"""Sends the answers of reads piece by piece, as fast as clients read them; each holds its place until its last byte.

A piece is written only after the kernel has taken the whole piece before it. So an answer that is not read costs only
the body, which its place is charged for, and the kernel's buffer for one connection, which `landing.py` limits. A
client that reads below the minimum rate is disconnected, as a slow upload is: after the head an error answer is no
longer possible.
"""

import asyncio
import socket
import struct
import time

from aiohttp import web

from .metrics import Metrics
from .read_admission import Reader, Reading

PIECE_BYTES = 64 * 1024
# Closing with this option resets the connection; otherwise the kernel would keep the unread data for minutes
# (socket(7)).
_NO_LINGER = struct.pack("ii", 1, 0)
# `reads.py` stores the place of a read here for the sender.
READER = web.RequestKey("reader", Reader)


class Sender:
    """Enforces the minimum rate of reading clients: `rate_bytes_s` on average, after `grace_s` seconds."""

    def __init__(self, reading: Reading, metrics: Metrics, *, rate_bytes_s: int, grace_s: float) -> None:
        self._reading = reading
        self._metrics = metrics
        self._rate_bytes_s = rate_bytes_s
        self._grace_s = grace_s

    async def send(self, request: web.Request, response: web.StreamResponse) -> None:
        """Write the whole answer of a read; aiohttp writes all others. A client that disconnects is no error."""
        reader, transport = request.get(READER), request.transport
        if reader is None or transport is None or not isinstance(response, web.Response):
            return

        reader.on_shed = lambda: self._cut(transport, "shed")
        transport.set_write_buffer_limits(high=0)
        try:
            await self._write(request, response, reader)
        except TimeoutError:
            self._reading.stood_still(reader, time.perf_counter())
            self._cut(transport, "too-slow")
        except ConnectionError:
            pass
        finally:
            reader.on_shed = None

    def leave(self, request: web.Request) -> None:
        """Release the place of a read, however it ended."""
        if (reader := request.get(READER)) is not None:
            self._reading.release(reader)

    def _cut(self, transport: asyncio.Transport, why: str) -> None:
        """Reset the connection, and discard what the kernel holds of the answer."""
        self._metrics.readers_cut(why).inc()
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        transport.abort()

    async def _write(self, request: web.Request, response: web.Response, reader: Reader) -> None:
        """TimeoutError when the client reads too slowly; ConnectionError when it has disconnected."""
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
            await web.StreamResponse.write_eof(response)  # because Response.write_eof would write the body again
