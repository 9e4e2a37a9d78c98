"""Early answers: what a node says while the client is still uploading reaches the client, every time.

The client sends its whole body before it reads, as the plainest of clients do, and then reads to the end: so a reset
anywhere on the way loses the answer and fails the trial. Nodes refuse in four ways, the worst of which closes with the
body unread, so that its kernel resets the connection while the answer is still on its way.
"""

import asyncio
import random
import socket
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.certificates import made_certificate, trusting
from tests.e2e.http.recorder import statuses
from tests.e2e.test_lb_harness import PATIENCE_S, balancer, raw_node

pytestmark = pytest.mark.e2e

STATUSES = (401, 403, 413, 429, 503)
PIECE = bytes(2**16)
HEAD = b"POST /%d/%d HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"


@dataclass
class Refuser:
    """A node that answers after the head with the status in the path, then behaves as the path says."""

    requests: int = 0
    strays: int = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection; only where a body came whole may another request follow."""
        while await self._request(reader, writer):
            pass

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        self.requests += 1
        self.strays += not head.startswith(b"POST /")
        _, status, manner = head.split(b" ")[1].split(b"/")
        answer = b"HTTP/1.1 %b No\r\nContent-Length: 7\r\nConnection: %b\r\n\r\nrefused"
        if manner == b"3":
            await reader.read(50_000)
        writer.write(answer % (status, b"keep-alive" if manner == b"2" else b"close"))
        if manner == b"1":  # drops some of the body, then closes
            await reader.read(100_000)
        elif manner == b"2":  # says that it would keep the connection, and reads on
            await reader.readexactly(int(head.partition(b"Content-Length: ")[2].split(b"\r\n")[0]))
        elif manner == b"3":  # closes by a reset of its own
            await writer.drain()
            await asyncio.sleep(0.001)
            writer.transport.abort()
        return manner == b"2"  # the others close hard, manner 0 at once


def upload_by_tls(port: int, status: int, manner: int, size: int) -> bytes:
    """The same by blocking calls: OpenSSL reads nothing while the client writes."""
    with (
        socket.create_connection(("127.0.0.1", port), PATIENCE_S) as sock,
        trusting().wrap_socket(sock) as wrapped,
    ):
        wrapped.sendall(HEAD % (status, manner, size))
        wrapped.sendall(bytes(size))
        answer = b""
        while not answer.endswith(b"\r\n\r\nrefused"):
            piece = wrapped.recv(65536)
            if not piece:
                raise EOFError(answer)
            answer += piece
        if b"\r\nConnection: close\r\n" in answer:
            answer += wrapped.recv(65536)
        return answer


async def upload(port: int, status: int, manner: int, size: int) -> bytes:
    """Send all, then read to the end; a reset is a failed trial."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(PATIENCE_S):
        writer.write(HEAD % (status, manner, size))
        while size > 0:
            writer.write(PIECE[:size])
            size -= len(PIECE)
            await writer.drain()
        answer = await reader.readuntil(b"\r\n\r\n") + await reader.readexactly(7)
        if b"\r\nConnection: close\r\n" in answer:  # not where a small body was complete before the answer came
            answer += await reader.read()
    writer.close()
    return answer


async def trial(port: int, rng: random.Random, *, tls: bool = False) -> str:
    """One upload of 1 KB to 20 MB; what went wrong, if anything."""
    status, manner, size = rng.choice(STATUSES), rng.randrange(4), int(1000 * 20_000 ** rng.random())
    try:
        if tls:
            answer = await asyncio.to_thread(upload_by_tls, port, status, manner, size)
        else:
            answer = await upload(port, status, manner, size)
    except (OSError, EOFError, TimeoutError) as error:
        return f"{status} by manner {manner} at {size} bytes: {error!r}"
    return (
        ""
        if answer.endswith(b"\r\n\r\nrefused") and statuses(answer) == (status,)
        else f"{status} by manner {manner} at {size}: {answer!r}"
    )


async def trials(count: int, hops: int, seed: int) -> None:
    """So many trials, four at a time, through one balancer or two."""
    node, rng, began = Refuser(), random.Random(seed), time.monotonic()
    async with raw_node(node) as port, balancer(("a", port)) as inner, balancer(("a", inner.port)) as outer:
        door = (inner, outer)[hops - 1].port
        failures: list[str] = []
        for _ in range(count // 4):
            failures += [found for found in await asyncio.gather(*(trial(door, rng) for _ in range(4))) if found]
    print(f"seed {seed}, {hops} hops: {count - len(failures)} of {count} in {time.monotonic() - began:.0f} s")  # noqa: T201
    assert failures == []
    assert (node.requests, node.strays) == (count, 0), "a connection with part of a body on it was used again"


async def test_an_early_answer_always_arrives_over_tls(tmp_path: Path) -> None:
    """The balancer half-closes, and drops the rest: the client reads the answer whole, then close_notify."""
    cert, key = made_certificate(tmp_path)
    node, rng = Refuser(), random.Random(3)
    async with raw_node(node) as port, balancer(("a", port), extra=("--tls-cert", cert, "--tls-key", key)) as lb:
        found = [await asyncio.gather(*(trial(lb.port, rng, tls=True) for _ in range(4))) for _ in range(25)]

    assert {one for four in found for one in four} == {""}
    assert (node.requests, node.strays) == (100, 0)


@pytest.mark.parametrize("hops", [1, 2])
async def test_an_early_answer_always_arrives(hops: int) -> None:
    """A hundred uploads refused midway: the client reads the answer whole and its connection ends cleanly."""
    await trials(100, hops, seed=hops)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("hops", [1, 2])
async def test_an_early_answer_arrives_in_a_thousand(hops: int) -> None:
    """The same, a thousand times."""
    await trials(1000, hops, seed=100 + hops)
