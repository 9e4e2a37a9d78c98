"""The slow store's proxy: what passes is what was sent, and each piece waits for those before it."""

import asyncio

from bench.throttle import CREDIT_S, Throttle


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Everything back, at the end."""
    writer.write(await reader.read())
    writer.write_eof()
    writer.close()


async def talk(port: int, data: bytes) -> bytes:
    """What comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


async def test_bytes_pass_unchanged_and_are_counted() -> None:
    """Over several connections, both ways."""
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, Throttle(server.sockets[0].getsockname()[:2], 1e9).listening() as throttle:
        sent = [bytes([number]) * 50_000 for number in range(3)]
        assert await asyncio.gather(*(talk(throttle.port, data) for data in sent)) == sent
        assert throttle.passed == 150_000


async def test_the_rate_is_shared_and_can_change() -> None:
    """Never faster than the rate says, but for a tenth of a second that a late waking may make up for."""
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, Throttle(server.sockets[0].getsockname()[:2], 1e9).listening() as throttle:
        throttle.bytes_s = 200_000
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.gather(*(talk(throttle.port, bytes(30_000)) for _ in range(2)))
        assert loop.time() - began >= 60_000 / 200_000 - CREDIT_S


async def test_a_server_that_is_gone_ends_the_connection() -> None:
    """As a reset or an end, never as a hang."""
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()[:2]
    server.close()
    await server.wait_closed()
    async with Throttle(address, 1e9).listening() as throttle:
        assert await talk(throttle.port, b"x") == b""
