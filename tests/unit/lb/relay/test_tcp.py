"""lb.relay.tcp: the peer sees a reset; the kernel knows when bytes arrived, and gives up who vanished."""

import asyncio
import socket
import time

import pytest

from lb.relay.tcp import VANISHED_S, notice_vanished, quiet_ms, reset


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


async def test_the_kernel_knows_when_bytes_came_that_nobody_has_read() -> None:
    """A time between their sending and now; none for a socket that is no TCP or is closed."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()) as phone,
    ):
        phone.sendall(b"x")
        sent = time.monotonic()
        accepted, _ = listening.accept()
        transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=accepted)
        transport.pause_reading()
        async with asyncio.timeout(30):
            while not (quiet := quiet_ms(transport)):  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0)
        assert quiet <= (time.monotonic() - sent) * 1000 + 10  # the kernel counts in ticks of up to 10 ms
        transport.abort()
        await asyncio.sleep(0)
        assert quiet_ms(transport) == 0

    ours, theirs = socket.socketpair()
    unix, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
    assert quiet_ms(unix) == 0
    unix.abort()
    theirs.close()


async def test_the_kernel_is_told_to_give_up_a_host_that_vanished() -> None:
    """What was sent and is not acknowledged; a silence in which nothing is sent. A Unix socket has nothing to set."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, *listening.getsockname())
        notice_vanished(transport)
        sock = transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == VANISHED_S * 1000
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        idle, again = (
            sock.getsockopt(socket.IPPROTO_TCP, name) for name in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL)
        )
        assert idle + again < VANISHED_S
        transport.abort()
    ours, theirs = socket.socketpair()
    unix, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
    notice_vanished(unix)
    unix.abort()
    theirs.close()
    await asyncio.sleep(0)  # both are closed
