"""lb.relay.deadlines: bodies that come too slowly, nodes that stay silent, and seconds that are nobody's fault."""

import pytest

POST = b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n"
GET = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n"

pytestmark = pytest.mark.asyncio


async def test_a_body_that_stops_coming_is_cut(stage) -> None:  # noqa: ANN001 - the stage fixture
    """After the grace, in seconds of the rate, 408; not a second before."""
    client, transport = stage.client()
    client.data_received(POST + b"x")
    stage.link(client)
    for _ in range(stage.config.body_grace_s - 1):
        client.check(1.0)
    assert transport.take() == b""
    for _ in range(3):
        client.check(1.0)

    assert transport.take().startswith(b"HTTP/1.1 408 ")


async def test_seconds_in_which_we_do_not_read_are_not_the_clients(stage) -> None:  # noqa: ANN001
    """While the node takes nothing, the body may stand still."""
    client, transport = stage.client()
    client.data_received(POST + b"x")
    link, _ = stage.link(client)
    link.pause_writing()
    for _ in range(stage.config.body_grace_s + 5):
        client.check(1.0)

    assert transport.take() == b""
    assert not transport.reading


async def test_a_silent_node_is_a_timeout(stage) -> None:  # noqa: ANN001
    """The request is complete and nothing comes: 504 after the time for an answer."""
    client, transport = stage.client()
    client.data_received(GET)
    stage.link(client)
    client.check(float(stage.config.answer_s))
    assert transport.take() == b""
    client.check(1.0)

    assert transport.take().startswith(b"HTTP/1.1 504 ")
