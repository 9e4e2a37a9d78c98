"""lb.front.redirect: where a request is sent on to, and the limits of its connection."""

import pytest

from lb.front.redirect import Redirect, moved
from lb.http1.errors import RequestError
from lb.http1.head import find_request
from tests.unit.lb.conftest import FakeTransport, Stage

pytestmark = pytest.mark.asyncio


def connected(stage: Stage, port: int = 443) -> tuple[Redirect, FakeTransport]:
    """A connection that was just accepted."""
    made, transport = Redirect(stage.connections, port), stage.transport()
    made.connection_made(transport)
    return made, transport


@pytest.mark.parametrize(
    ("head", "port", "location"),
    [
        (b"GET /x?y=%20z HTTP/1.1\r\nHost: a.example\r\n\r\n", 443, b"https://a.example/x?y=%20z"),
        (b"POST / HTTP/1.1\r\nHost: a.example:8080\r\nContent-Length: 9\r\n\r\n", 443, b"https://a.example/"),
        (b"GET /x HTTP/1.1\r\nHost: a.example\r\n\r\n", 8443, b"https://a.example:8443/x"),
        (b"GET /x HTTP/1.1\r\nHost: [::1]\r\n\r\n", 443, b"https://[::1]/x"),
        (b"GET /x HTTP/1.0\r\nHost: [::1]:80\r\n\r\n", 8443, b"https://[::1]:8443/x"),
        (b"GET http://a.example/x HTTP/1.1\r\nHost: a.example\r\n\r\n", 443, b"https://a.example/x"),
        (b"OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n", 8443, b"https://a.example:8443"),
        (b"OPTIONS http://a.example HTTP/1.1\r\nHost: a.example\r\n\r\n", 443, b"https://a.example"),
        (b"OPTIONS /x* HTTP/1.1\r\nHost: a.example\r\n\r\n", 443, b"https://a.example/x*"),
        (b"GET //evil.example/x HTTP/1.1\r\nHost: a.example\r\n\r\n", 443, b"https://a.example//evil.example/x"),
    ],
)
async def test_the_same_target_under_https(stage: Stage, head: bytes, port: int, location: bytes) -> None:
    """The host without its port, the port of TLS; byte by byte too."""
    for piece in (len(head), 1):
        redirect, transport = connected(stage, port)
        for at in range(0, len(head), piece):
            redirect.data_received(head[at : at + piece])
        said = transport.take()
        assert said.startswith(b"HTTP/1.1 308 ")
        assert b"\r\nLocation: %b\r\n" % location in said
        assert transport.ended


async def test_a_request_without_a_host_cannot_be_sent_on(stage: Stage) -> None:
    """HTTP/1.0 may leave it out."""
    found = find_request(b"GET /x HTTP/1.0\r\n\r\n", 1000)
    assert found
    with pytest.raises(RequestError, match="no Host"):
        moved(found[0], 443)

    redirect, transport = connected(stage)
    redirect.data_received(b"GET /x HTTP/1.0\r\n\r\n")
    assert transport.take().startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("said", "status"), [(b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", b"400"), (b"G" * 16385, b"431"), (b"G" * 16384, b"")]
)
async def test_a_head_is_read_by_the_strict_rules(stage: Stage, said: bytes, status: bytes) -> None:
    """And by its limit."""
    redirect, transport = connected(stage)
    redirect.data_received(said)

    assert transport.take()[9:12] == status
    assert stage.context.counters.heads_refused == bool(status)


async def test_nothing_is_kept_after_the_answer(stage: Stage) -> None:
    """A body is dropped, and the client's end is the end."""
    redirect, transport = connected(stage)
    redirect.data_received(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    transport.take()
    redirect.data_received(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")

    assert transport.take() == b""
    assert redirect.eof_received() is False


async def test_connections_count_against_the_limit(stage: Stage) -> None:
    """One too many is closed without an answer."""
    stage.connections.clients.update(object() for _ in range(stage.config.connections_max - 1))
    first, kept = connected(stage)
    second, refused = connected(stage)
    assert (kept.aborted, refused.aborted) == (False, True)
    second.connection_lost(None)
    assert stage.connections.expected == 1
    first.connection_lost(None)

    assert stage.connections.expected == 0
