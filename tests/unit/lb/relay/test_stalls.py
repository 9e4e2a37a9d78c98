"""Over the balancer's protocols: what a node did not get, or does not answer, and whose fault that is."""

import pytest

from lb.placement.health import State

POST = b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n"
GET = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SLOW = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 4\r\nConnection: close\r\n\r\nslow"

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize("sent", [b"hello", b"he"], ids=["whole", "a part, just now"])
async def test_a_408_to_a_client_that_sent_in_time_is_the_nodes(stage, sent: bytes) -> None:  # noqa: ANN001
    """504 with a ticket whose retry goes elsewhere; from five users it ejects the node, whose peer does well."""
    homes: list[str] = []
    number = 0
    while homes.count("a") < 5:
        client, transport = stage.client()
        client.data_received(POST.replace(b"/x", b"/%d" % (number := number + 1)) + sent)
        link = stage.link_of(client) or stage.link(client)[0]
        homes.append(link.node.member.id)
        if homes[-1] == "b":
            link.data_received(OK)
            continue
        link.data_received(SLOW)
        said = transport.take()
        assert said.startswith(b"HTTP/1.1 504 ")
        assert b"\r\nSnapsurge-Ticket: " in said
        assert not link.alive
    stage.fleet.nodes["b"].faults.good += 1
    stage.fleet.tick(1.0)

    assert stage.fleet.nodes["a"].health.state is State.SUSPECT
    assert stage.fleet.nodes["b"].health.state is State.HEALTHY
    assert stage.fleet.in_flight == 0


async def test_a_408_to_a_client_that_is_slow_itself_passes(stage) -> None:  # noqa: ANN001
    """Without a ticket, and nothing is held against the node."""
    client, transport = stage.client()
    client.data_received(POST + b"he")
    link, _ = stage.link(client)
    client.check(1.0)
    for _ in range(3):
        client.check(1.0)
    link.data_received(SLOW)

    said = transport.take()
    assert said.startswith(b"HTTP/1.1 408 ")
    assert b"Snapsurge-Ticket" not in said
    assert link.node.faults.failures == 0


@pytest.mark.parametrize(
    ("request_bytes", "failures"),
    [(POST + b"hello", 1), (GET, 0), (POST.replace(b"POST", b"GET") + b"hello", 0)],
    ids=["upload", "read", "read with a body"],
)
async def test_an_upload_without_an_answer_counts_against_its_node(stage, request_bytes: bytes, failures: int) -> None:  # noqa: ANN001
    """Long before it is answered 504; a read does not, with a body or without: it may be a long poll."""
    client, transport = stage.client()
    client.data_received(request_bytes)
    link, _ = stage.link(client)
    for _ in range(12):
        client.check(1.0)

    assert link.node.faults.failures == failures
    assert transport.take() == b""


async def test_a_client_that_sent_a_byte_no_longer_waits_for_continue(stage) -> None:  # noqa: ANN001
    """A node may leave 100 out then (RFC 9110 section 10.1.1): the silence is the client's, not the node's."""
    client, transport = stage.client()
    client.data_received(POST.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n") + b"h")
    link, _ = stage.link(client)
    for _ in range(stage.config.body_stall_s + 3):
        client.check(1.0)

    assert transport.take().startswith(b"HTTP/1.1 408 ")
    assert link.node.faults.failures == 0
