"""A node's host vanishes from the network with an upload in flight: the phone is answered, and not kept waiting.

Needs root and iptables(8), which drops what the kernel of the node's address would say.
"""

import asyncio
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.test_lb_harness import balancer
from tests.net.network import run
from tests.ports import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

LONGEST_S = 3600
BODY = b"x" * 200_000
HOLE = ("-m", "length", "--length", "1000:65535")  # What a path with a smaller MTU loses without a word.


@contextmanager
def vanished(port: int, *only: str) -> Iterator[None]:
    """Nothing comes from this port, or goes to it, on loopback; `only` packets that match."""
    rules = [["INPUT", "-i", "lo", "-p", "tcp", way, str(port), *only, "-j", "DROP"] for way in ("--dport", "--sport")]

    def change(verb: str) -> None:
        for rule in rules:
            run("iptables", "-w", verb, *rule)

    change("-I")
    try:
        yield
    finally:
        change("-D")


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("iptables"), reason="needs root and iptables(8)")
@pytest.mark.parametrize(
    ("sent", "only"),
    [(len(BODY) // 2, ()), (len(BODY), ()), (len(BODY) // 2, HOLE)],
    ids=["in the body", "waiting for the answer", "large packets only"],
)
async def test_a_vanished_node_does_not_keep_its_uploads(sent: int, only: tuple[str, ...]) -> None:
    """Answered 502 or 504 with a ticket, although nodes may take an hour; a node that is only silent keeps its time."""
    taken, over = asyncio.Event(), asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(sent)
        taken.set()
        await over.wait()
        writer.close()

    settings = {"SNAPSURGE_LB_ANSWER_S": str(LONGEST_S), "SNAPSURGE_LB_BODY_STALL_S": "3600"}
    settings |= {"SNAPSURGE_LB_BODY_GRACE_S": "3600"}
    port = free_port()
    server = await asyncio.start_server(silent, "127.0.0.1", port)
    async with server, balancer(("a", port), environment=settings) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(b"POST /u HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY[:sent])
        await asyncio.wait_for(taken.wait(), 30)
        with vanished(port, *only):
            writer.write(BODY[sent:])
            async with asyncio.timeout(60):
                head = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        over.set()
    assert head.split(b" ")[1] in {b"502", b"504"}
    assert b"snapsurge-ticket: " in head.lower()
