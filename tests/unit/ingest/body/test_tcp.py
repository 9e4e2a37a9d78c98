"""ingest.body.tcp: the kernel knows when bytes arrived."""

import asyncio
import socket
import time

from ingest.body.tcp import quiet_ms


async def test_the_kernel_knows_when_bytes_came_that_nobody_has_read() -> None:
    """A time between their sending and now; none for a socket that is no TCP or is closed."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()) as phone,
    ):
        phone.sendall(b"x")
        sent = time.monotonic()
        accepted, _ = listening.accept()
        with accepted:
            async with asyncio.timeout(30):
                while not (quiet := quiet_ms(accepted)):  # noqa: ASYNC110 - no event tells
                    await asyncio.sleep(0)
            assert quiet <= (time.monotonic() - sent) * 1000 + 10  # the kernel counts in ticks of up to 10 ms
        assert quiet_ms(accepted) == 0

    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert quiet_ms(ours) == 0
