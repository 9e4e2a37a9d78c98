"""lb.membership.probes: what passes a check."""

import asyncio
import socket
import time

import pytest

from lb.config import Config
from lb.http1.origin import Origin
from lb.http1.stamps import Stamper
from lb.membership.probes import Probes, probe
from lb.placement.health import Event, State
from lb.placement.node import Member

PACKET_BYTES, HEAD_BYTES = 1500, 4096


async def answered(raw: bytes) -> tuple[Event, str]:
    """What a check says to a node that answers this."""

    async def node(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        assert request.startswith(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1:")
        assert b"\r\nUser-Agent: snapsurge-lb (" in request
        assert PACKET_BYTES < len(request) < HEAD_BYTES  # Lost where uploads are, and allowed by every server.
        told_ms = int(request.partition(b"\r\nSnapsurge-Received-At: ")[2].partition(b"\r\n")[0])
        assert abs(told_ms / 1000 - time.time()) < 60
        writer.write(raw)
        writer.close()

    server = await asyncio.start_server(node, "127.0.0.1", 0)
    try:
        return await probe("127.0.0.1", server.sockets[0].getsockname()[1], "/readyz", 5.0)
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", "checks pass"),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "checks pass"),
        (b"HTTP/1.1 503 Busy\r\n\r\n", "check answered 503"),
        (b"HTTP/1.1 503 Busy\r\nA: b\r\n\r\nstore: away\nmore", "check answered 503: store: away"),
        (b"HTTP/1.1 503 Busy\r\n\r\nab\x1b[0mc\n", "check answered 503: ab"),
        (b"HTTP/1.1 500 Busy\r\n\r\n" + b"x" * 9999, "check answered 500: " + "x" * 120),
        (b"HTTP/1.1 503 Busy\r\nA: " + b"x" * 9999 + b"\r\n\r\nreason\n", "check answered 503"),
        (b"hello\r\n", "check got no HTTP answer"),
        (b"", "check got no HTTP answer"),
    ],
)
async def test_a_server_below_500_is_well(raw: bytes, reason: str) -> None:
    """A node of this project answers 503 when it is not ready; a server without the page answers 404 and is alive."""
    event = Event.PASSED if reason == "checks pass" else Event.FAILED
    assert await answered(raw) == (event, reason)


async def test_a_check_is_stamped() -> None:
    """So that a node believes the balancer's clock, in whatever network."""
    heads: list[bytes] = []

    async def node(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(node, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        stamper = Stamper([b"a-secret-of-16-bytes"])
        assert (await probe("127.0.0.1", port, "/readyz", 5.0, stamper))[0] == Event.PASSED

    told_ms = int(heads[0].partition(b"\r\nSnapsurge-Received-At: ")[2].partition(b"\r\n")[0])
    assert b"\r\n" + stamper.line(Origin(b"", b""), told_ms, b"") in heads[0]


async def test_silence_and_refusal_fail() -> None:
    """A server that accepts and says nothing fails in time; nobody listening fails at once."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = silent.getsockname()
        assert await probe(*address, "/readyz", 0.05) == (Event.FAILED, "check timed out")
    assert await probe(*address, "/readyz", 5.0) == (Event.REFUSED, "check refused: nobody listens")


async def test_the_first_round_checks_everybody(stage) -> None:  # noqa: ANN001 - the stage fixture
    """After it every node has been checked once and its next check is due later."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        stage.fleet.set_members([Member(id="a", address=f"127.0.0.1:{bound.getsockname()[1]}")], 0.0)
        await Probes(Config(), stage.fleet, "/readyz").first_round()

    node = stage.fleet.nodes["a"]
    assert node.health.state is State.DEAD
    assert node.health.reason.startswith("check refused")
    assert node.check_at > 0


async def test_without_checks_an_ejected_node_rests(stage) -> None:  # noqa: ANN001
    """It is tried again after `rest_s`, not before."""
    loop, nodes = asyncio.get_running_loop(), stage.fleet.nodes
    stage.fleet.note(nodes["a"], Event.REFUSED, loop.time() - 500)
    stage.fleet.note(nodes["b"], Event.REFUSED, loop.time() - 600)
    probing = loop.create_task(Probes(Config(rest_s=600), stage.fleet, None).run())
    await asyncio.sleep(0)
    assert [nodes[name].health.state for name in "ab"] == [State.DEAD, State.HEALTHY]
    probing.cancel()
    await asyncio.wait([probing])
