"""Reads with a key of their own (`--hash-reads-on`), and answers to HEAD: what differs from other requests."""

import pytest

from lb.http1.keys import keys
from lb.placement.fleet import Fleet
from lb.placement.health import State, Thresholds
from lb.placement.parameters import SHARED_REQUESTS, Placement
from lb.placement.policy import Bound

pytestmark = pytest.mark.asyncio


def get(number: int, user: bytes = b"", method: bytes = b"GET") -> bytes:
    """A read of one of many albums by a user."""
    return b"%b /albums/%d/photos HTTP/1.1\r\nHost: h\r\nX-User: %b\r\n\r\n" % (method, number, user)


def answer(stage, request: bytes, raw: bytes) -> bytes:  # noqa: ANN001 - the stage fixture
    """What a new client receives for this request when its node answers `raw`; the node must keep the connection."""
    client, transport = stage.client()
    client.data_received(request)
    link = stage.link_of(client) or stage.link(client)[0]
    link.data_received(raw)
    return transport.take()


async def test_the_failures_of_reads_count_by_user(stage) -> None:  # noqa: ANN001
    """One user reads any number of broken albums and ejects no node; five users do."""
    stage.context.keys = keys("header:X-User", "path:/albums/*", cache_max=9)
    broken = b"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n"
    # Of albums whose home is the same node, so that the other one does better.
    numbers = [number for number in range(40) if stage.fleet.home(b"/albums/%d" % number) == "a"]
    assert len(numbers) > 10
    for number in numbers:
        answer(stage, get(number, b"one"), broken)
    stage.fleet.tick(1.0)
    assert stage.fleet.nodes["a"].health.state is State.HEALTHY

    for number in numbers[:5]:
        answer(stage, get(number, b"user %d" % number), broken)
    stage.fleet.tick(1.1)
    assert stage.fleet.nodes["a"].health.state is State.SUSPECT


async def test_a_read_that_breaks_its_connection_counts_by_user_too(stage) -> None:  # noqa: ANN001
    """Once, whatever albums the user reads."""
    stage.context.keys = keys("header:X-User", "path:/albums/*", cache_max=9)
    links = []
    for number in [number for number in range(40) if stage.fleet.home(b"/albums/%d" % number) == "a"]:
        client, _ = stage.client()
        client.data_received(get(number, b"one"))
        links.append(stage.link(client)[0])
    for link in links:
        link.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        link.connection_lost(None)

    assert stage.fleet.nodes["a"].health.state is State.SUSPECT


async def test_one_album_that_everybody_reads_uses_all_nodes(stage) -> None:  # noqa: ANN001
    """Up to so many reads at a time one node has it; beyond them the next one helps. A user's own key stays."""
    placement = Placement(
        policy="ring", seed=b"s", slots=1024, bound=Bound(125, 2**24), thresholds=Thresholds(), checked=False
    )
    stage.context.fleet = Fleet(placement)
    stage.context.fleet.set_members([node.member for node in stage.fleet.nodes.values()], 0.0)
    for reads_on, used in (("path:/albums/*", 2), ("", 1)):
        stage.context.keys = keys("header:X-User", reads_on, cache_max=9)
        clients = [stage.client()[0] for _ in range(2 * SHARED_REQUESTS)]
        for client in clients:
            client.data_received(get(7, b"somebody"))
        nodes = [stage.node_of(client).member.id for client in clients]
        assert len(set(nodes[:SHARED_REQUESTS])) == 1
        assert len(set(nodes)) == used
        for client in clients:
            client.connection_lost(None)


@pytest.mark.parametrize("status", [b"200 OK", b"206 Part", b"404 None", b"503 Full", b"204 None", b"304 Same"])
async def test_no_body_is_awaited_after_the_answer_to_a_head(stage, status: bytes) -> None:  # noqa: ANN001
    """Whatever length it names; the fields pass unchanged, and the connections serve the next request."""
    raw = b'HTTP/1.1 %b\r\nContent-Length: 1000000\r\nETag: "x"\r\n\r\n' % status
    client, transport = stage.client()
    client.data_received(get(1, method=b"HEAD"))
    link, _ = stage.link(client)
    link.data_received(raw)
    said = transport.take()

    assert said.endswith(b"\r\n\r\n")
    assert b'\r\nETag: "x"\r\n' in said
    assert (b"\r\nContent-Length: 1000000\r\n" in said) is (b"204" not in status)
    assert client.idle
    assert stage.context.pool.idle(link.node) == 1


async def test_a_refused_head_request_gets_no_body(stage) -> None:  # noqa: ANN001
    """A private path, a malformed head, no node: the length is named, the body left out."""
    for request in (b"HEAD /metrics HTTP/1.1\r\nHost: h\r\n\r\n", b"\r\nHEAD /x HTTP/1.1\r\nHost : h\r\n\r\n"):
        client, transport = stage.client()
        client.data_received(request)
        assert transport.take().endswith(b"\r\n\r\n")
        assert transport.ended
    stage.fleet.set_members([], 0.0)
    client, transport = stage.client()
    client.data_received(get(1, method=b"HEAD"))
    said = transport.take()
    assert said.startswith(b"HTTP/1.1 503 ")
    assert said.endswith(b"\r\n\r\n")
    assert b"Content-Length: 0" not in said
    assert client.idle
