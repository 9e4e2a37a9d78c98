"""lb.relay.exchange: interim answers (1xx), and requests whose path names a node."""

import socket

import pytest

from lb.holder_path import hint

GET = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CREATED = b"HTTP/1.1 104 Upload Resumption Supported\r\nLocation: /u/x\r\nSnapsurge-Ticket: mine\r\n\r\n"
DIGEST = b"Content-Digest: sha-256=:%bYWI=:\r\n" % (b"YWJj" * 10)

pytestmark = pytest.mark.asyncio


async def test_interim_answers_pass_to_http_1_1_only(stage) -> None:  # noqa: ANN001
    """100 Continue is relayed; an HTTP/1.0 client gets none, and gets the body without chunk framing."""
    for minor, expected in ((1, b"HTTP/1.1 100 Continue\r\n\r\n"), (0, b"")):
        client, transport = stage.client()
        client.data_received(b"GET /x HTTP/1.%d\r\nHost: h\r\n\r\n" % minor)
        link, _ = stage.link(client)
        link.data_received(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert transport.take() == expected
        link.data_received(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
        assert transport.take().endswith(b"2\r\nok\r\n0\r\n\r\n" if minor else b"\r\n\r\nok")
        stage.context.pool.close()


async def test_a_104_passes_at_once_while_the_body_comes_in_small_pieces(stage) -> None:  # noqa: ANN001
    """Whatever the kernel waits for on the client's side: no further byte of the body is needed."""
    client, transport = stage.client()
    client.data_received(b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 300000\r\n\r\n")
    link, _ = stage.link(client)
    client.data_received(b"x" * 1000)
    assert transport.near.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT) > 1
    link.data_received(b"HTTP/1.1 104 Upload Resumption Supported\r\nUpload-Offset: 1000\r\n\r\n")

    assert transport.take() == b"HTTP/1.1 104 Upload Resumption Supported\r\nUpload-Offset: 1000\r\n\r\n"
    assert not client.exchange.status


@pytest.mark.parametrize("minor", [0, 1])
async def test_a_104_carries_a_ticket_for_a_request_with_a_digest(stage, minor: int) -> None:  # noqa: ANN001
    """The balancer's own in place of the node's, on each; HTTP/1.0 clients get no 104."""
    for digest, given in ((b"", 0), (DIGEST, 2 * minor)):
        client, transport = stage.client()
        client.data_received(b"POST /x HTTP/1.%d\r\nHost: h\r\n%bContent-Length: 5\r\n\r\n" % (minor, digest))
        link, _ = stage.link(client)
        link.data_received(CREATED + CREATED + b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
        said = transport.take()

        assert (said.count(b" 104 "), said.count(b"Location: /u/x"), said.count(b" 103 ")) == (2 * minor,) * 2 + (
            minor,
        )
        assert (said.count(b"Snapsurge-Ticket: "), said.count(b"mine")) == (given, 0)
        assert stage.context.counters.tickets["early"] == given
        stage.context.pool.close()


async def test_only_100_lets_the_client_send_what_it_waits_with(stage) -> None:  # noqa: ANN001
    """A 104 before it does not start the time of a body that nobody has asked for yet."""
    client, _ = stage.client()
    client.data_received(b"POST /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    link, _ = stage.link(client)
    link.data_received(CREATED)
    assert client.exchange.awaits_continue
    link.data_received(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert not client.exchange.awaits_continue


async def test_what_got_a_104_is_not_sent_again(stage) -> None:  # noqa: ANN001
    """Its name was given out: a reused connection that breaks afterwards gives 502 with a ticket, nothing stored."""
    first, transport = stage.client()
    first.data_received(GET)
    link, _ = stage.link(first)
    link.data_received(OK)
    transport.take()
    head = b"POST /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n%bContent-Length: 5\r\n\r\n" % DIGEST
    first.data_received(head)
    assert stage.link_of(first) is link
    link.data_received(CREATED)
    link.eof_received()

    interim, _, said = transport.take().partition(b"\r\n\r\n")
    assert interim.startswith(b"HTTP/1.1 104 ")
    assert said.startswith(b"HTTP/1.1 502 ")
    assert b"Snapsurge-Ticket: " in said
    assert b'"stored":false' in said


async def test_a_path_that_names_a_node_is_asked_there(stage) -> None:  # noqa: ANN001
    """Not at its home; when the node cannot be reached, at the home, as if it named nobody."""
    for name in "ab":
        client, transport = stage.client()
        client.data_received(b"HEAD /v1/uploads/%b.x HTTP/1.1\r\nHost: h\r\n\r\n" % hint(name))
        assert stage.node_of(client).member.id == name
        client.connection_lost(None)
    client, transport = stage.client()
    client.data_received(b"HEAD /v1/uploads/%b.x HTTP/1.1\r\nHost: h\r\n\r\n" % hint("b"))
    assert stage.refuse(client).member.id == "b"
    assert stage.node_of(client).member.id == "a"
    link, _ = stage.link(client)
    link.data_received(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    assert transport.take().startswith(b"HTTP/1.1 404 ")
    assert stage.context.holders.counts == {"asked": 3, "away": 1, "unknown": 0}
