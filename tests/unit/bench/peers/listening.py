"""A node in the test's own loop, which leaves no connection behind."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.peers.sink import Sink


@asynccontextmanager
async def listening(kind: type[Sink] = Sink) -> AsyncIterator[tuple[int, list[Sink]]]:
    """The port, and the connections as they are made."""
    made: list[Sink] = []

    def accept() -> Sink:
        made.append(kind())
        return made[-1]

    async with await asyncio.get_running_loop().create_server(accept, "127.0.0.1", 0) as server:
        try:
            yield server.sockets[0].getsockname()[1], made
        finally:
            for connection in made:
                connection.transport.abort()
            for _ in range(3):  # asyncio tells a protocol of its end in a later turn
                await asyncio.sleep(0)
