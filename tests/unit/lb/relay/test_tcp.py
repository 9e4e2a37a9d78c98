"""lb.relay.tcp: a reset is seen as one by the peer."""

import asyncio

import pytest

from lb.relay.tcp import reset


async def test_the_peer_sees_a_reset() -> None:
    """Not an end of file."""
    transports: list[asyncio.Transport] = []

    class Accepting(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            transports.append(transport)

    server = await asyncio.get_running_loop().create_server(Accepting, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        while not transports:  # noqa: ASYNC110 - the loop has to turn a few times, no more
            await asyncio.sleep(0)
        reset(transports[0])
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.transport.abort()
