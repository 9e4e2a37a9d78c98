"""Clients that ask for much and read nothing: what the balancer's side of their connections holds in the kernel."""

import asyncio
import socket
from pathlib import Path

import pytest
from aiohttp import web

from lb.front.listening import UNSENT_BYTES
from tests.e2e.test_lb_harness import balancer, sink

pytestmark = pytest.mark.e2e
ANSWER = bytes(8 << 20)
CLIENTS = 8
PIECE_BYTES = 256 * 1024  # of an answer, as the balancer reads and writes at most


def unsent(port: int) -> list[int]:
    """Bytes that wait in the kernel to be sent or acknowledged, for each connection of this port."""
    lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    return [int(f[4].partition(":")[0], 16) for f in map(str.split, lines) if int(f[1].rpartition(":")[2], 16) == port]


async def test_an_answer_that_nobody_reads_waits_with_the_node() -> None:
    """The kernel holds a piece of it here, not the 4 MB to which a send buffer grows; a reader gets all of it."""

    async def much(_: web.Request) -> web.Response:
        return web.Response(body=ANSWER)

    async with sink(handler=much) as node, balancer(("a", node.port)) as lb:
        deaf = []
        for _ in range(CLIENTS):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(("127.0.0.1", lb.port))
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            deaf.append(sock)
        async with asyncio.timeout(30):
            while len(node.requests) < CLIENTS:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.05)
        await asyncio.sleep(1.0)  # for buffers to fill
        held = max(unsent(lb.port))
        for sock in deaf:
            sock.close()
        assert UNSENT_BYTES // 2 < held <= UNSENT_BYTES + PIECE_BYTES

        reader, writer = await asyncio.open_connection("127.0.0.1", lb.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert len(await asyncio.wait_for(reader.read(-1), 30)) > len(ANSWER)
        writer.close()
