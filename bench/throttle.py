"""A TCP proxy with one limit in bytes/s over all connections to its server: it simulates a slow store.

The rate may change while the proxy runs.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

# Bytes to the server are queued piece by piece, so that concurrent requests share the rate.
PIECE_BYTES: Final = 8192
CREDIT_S: Final = 0.1  # seconds of the rate that may be caught up after a late wake-up on a busy machine


class Throttle:
    """Limits the bytes to the server to `bytes_s`; `passed` counts them."""

    def __init__(self, server: tuple[str, int], bytes_s: float) -> None:
        self._server = server
        self.bytes_s = bytes_s
        self.passed = 0
        self.port = 0
        self._free_at = 0.0
        self._talks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Throttle"]:
        """Listen on a free loopback port until the block ends."""
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for talk in self._talks:
                talk.cancel()
            await asyncio.gather(*self._talks, return_exceptions=True)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task:
            self._talks.add(task)
            task.add_done_callback(self._talks.discard)
        try:
            with contextlib.suppress(OSError):
                await self._both_ways(reader, writer)
        finally:
            writer.close()

    async def _both_ways(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection(*self._server)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass(reader, to_server, paced=True))
                # Answers are not limited: a store's are short while a pair is written.
                both.create_task(self._pass(from_server, writer, paced=False))
        except* OSError:
            pass
        finally:
            to_server.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, paced: bool) -> None:
        while data := await reader.read(PIECE_BYTES):
            if paced:
                await self._turn(len(data))
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()

    async def _turn(self, size: int) -> None:
        """Wait until the pieces before this one would have left at the current rate."""
        now = asyncio.get_running_loop().time()
        self._free_at = max(self._free_at, now - CREDIT_S) + size / self.bytes_s
        self.passed += size
        await asyncio.sleep(max(0.0, self._free_at - now))
