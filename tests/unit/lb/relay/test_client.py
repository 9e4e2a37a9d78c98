"""lb.relay.client: heads, bodies, order, deadlines and a polite end."""

import asyncio

import pytest

from lb.relay.client import Client
from lb.relay.deadlines import HALF_CLOSED_S

GET = b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize("size", [1, 9, 1000])
async def test_heads_and_bodies_come_in_any_pieces(stage, size: int) -> None:  # noqa: ANN001 - the stage fixture
    """Byte by byte or at once, the node gets the same request."""
    client, _ = stage.client()
    raw = POST + b"hello"
    link = None
    for position in range(0, len(raw), size):
        client.data_received(raw[position : position + size])
        if client.exchange and not link:
            link, node = stage.link(client)

    assert node.take().endswith(b"\r\n\r\nhello")
    assert client.exchange.request_done


async def test_pipelined_requests_wait_their_turn(stage) -> None:  # noqa: ANN001
    """The second request is not begun before the first is answered, and reading stops meanwhile."""
    client, transport = stage.client()
    client.data_received(GET % 1 + GET % 2 + GET % 3)
    answers = 0
    while client.exchange:
        assert transport.reading is False or answers == 2
        link = stage.link_of(client) or stage.link(client)[0]
        link.data_received(OK)
        answers += 1
        await asyncio.sleep(0)

    assert answers == 3
    assert transport.take().count(b"HTTP/1.1 200 OK") == 3
    assert transport.reading
    assert client.idle


async def test_endless_pipelining_does_not_grow_the_stack(stage) -> None:  # noqa: ANN001
    """Thousands of requests in one read, each answered at once by 503, are all answered."""
    stage.fleet.set_members([], 0.0)
    client, transport = stage.client()
    client.data_received(GET % 1 * 3000)
    for _ in range(3000):
        await asyncio.sleep(0)

    assert transport.written.count(b"HTTP/1.1 503 ") == 3000


async def test_a_refused_head_ends_the_connection_politely(stage) -> None:  # noqa: ANN001
    """400, half-close, the rest is dropped up to its limits."""
    client, transport = stage.client()
    client.data_received(b"GET /\r\n\r\n" + GET % 1)
    client.data_received(GET % 2)

    assert transport.take().startswith(b"HTTP/1.1 400 ")
    assert (transport.ended, transport.closed) == (True, False)
    client.check(stage.config.linger_idle_s + 1)
    assert transport.aborted


async def test_lingering_is_bounded_in_time_and_bytes(stage) -> None:  # noqa: ANN001
    """A client that keeps sending after its refusal is cut after the linger time, or the linger bytes."""
    client, transport = stage.client()
    client.data_received(b"GET /\r\n\r\n")
    for _ in range(stage.config.linger_s):
        client.data_received(b"x")
        client.check(1.0)
    assert not transport.aborted
    client.data_received(b"x")
    client.check(1.0)
    assert transport.aborted
    client, transport = stage.client()
    client.data_received(b"GET /\r\n\r\n")
    client.data_received(bytes(stage.config.linger_bytes_max + 1))
    assert transport.aborted


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000, 431),
        (b"GET / HTTP/1.1\nHost: a\n", 400),
        (POST.replace(b"5", b"999999999999"), 413),
        (POST.replace(b"Content-Length: 5", b"Transfer-Encoding: chunked") + b"x\r\n", 400),
    ],
)
async def test_limits_and_framing_are_kept(stage, raw: bytes, status: int) -> None:  # noqa: ANN001
    """Too long a head, a bare LF, too large a body, a broken chunk."""
    client, transport = stage.client()
    client.data_received(raw)

    assert transport.take().startswith(b"HTTP/1.1 %d " % status)
    assert transport.ended


async def test_a_counted_chunked_body_is_limited_too(stage) -> None:  # noqa: ANN001
    """A chunked body over the limit ends in 413; the node never had the whole, so nothing is stored."""
    client, transport = stage.client()
    client.data_received(POST.replace(b"Content-Length: 5", b"Transfer-Encoding: chunked"))
    stage.link(client)
    client.data_received(b"fffffff\r\n")
    client.exchange.received = stage.config.body_bytes_max
    client.data_received(b"x")

    said = transport.take()
    assert said.startswith(b"HTTP/1.1 413 ")
    assert b'"stored":false' in said


async def test_slow_heads_slow_bodies_and_idle_connections_end(stage) -> None:  # noqa: ANN001
    """Each deadline has its own end: 408, 408, a silent close."""
    head, head_transport = stage.client()
    head.data_received(b"GET / HT")
    body, body_transport = stage.client()
    body.data_received(POST)
    stage.link(body)
    idle, idle_transport = stage.client()
    for _ in range(33):
        for client in (head, body, idle):
            client.check(1.0)

    assert head_transport.take().startswith(b"HTTP/1.1 408 ")
    assert body_transport.take().startswith(b"HTTP/1.1 408 ")
    assert not idle_transport.closed
    idle.check(50.0)
    assert idle_transport.closed


async def test_a_silent_node_is_a_gateway_timeout(stage) -> None:  # noqa: ANN001
    """A complete request whose node says nothing for too long gets 504; so does one whose node takes no bytes."""
    done, done_transport = stage.client()
    done.data_received(GET % 1)
    stage.link(done)
    stuck, stuck_transport = stage.client()
    stuck.data_received(POST)
    stage.link(stuck)[0].pause_writing()
    assert not stuck_transport.reading
    for _ in range(stage.config.answer_s + 2):
        done.check(1.0)
        stuck.check(1.0)

    assert done_transport.take().startswith(b"HTTP/1.1 504 ")
    assert stuck_transport.take().startswith(b"HTTP/1.1 504 ")


async def test_a_client_waiting_for_continue_is_not_called_slow(stage) -> None:  # noqa: ANN001
    """Until the node has said 100 the missing body is not the client's fault."""
    client, transport = stage.client()
    client.data_received(POST.replace(b"Host", b"Expect: 100-continue\r\nHost"))
    link, _ = stage.link(client)
    for _ in range(50):
        client.check(1.0)
    assert transport.take() == b""
    link.data_received(b"HTTP/1.1 100 Continue\r\n\r\n")
    for _ in range(33):
        client.check(1.0)
    assert b"HTTP/1.1 408 " in transport.take()


async def test_a_slow_reader_pauses_the_node_and_the_next_request(stage) -> None:  # noqa: ANN001
    """Back-pressure reaches the node; pipelined requests wait until the answers are read."""
    client, transport = stage.client()
    client.data_received(GET % 1)
    link, node = stage.link(client)
    client.pause_writing()
    assert not node.reading
    link.data_received(OK)
    assert node.reading
    assert not transport.reading
    client.resume_writing()
    await asyncio.sleep(0)
    assert transport.reading
    client.data_received(GET % 2)
    client.pause_writing()
    client.resume_writing()
    assert node.reading


async def test_a_client_that_has_said_all_still_gets_its_answer(stage) -> None:  # noqa: ANN001
    """Half-closed after a complete request: answered, then closed; after half a body: over."""
    client, transport = stage.client()
    client.data_received(GET % 1)
    link, _ = stage.link(client)
    assert client.eof_received() is True
    link.data_received(OK)
    assert transport.take().startswith(b"HTTP/1.1 200 ")
    assert transport.closed
    half, _ = stage.client()
    half.data_received(POST)
    assert half.eof_received() is False
    assert stage.fleet.in_flight == 0


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
async def test_a_half_closed_client_waits_for_a_read_for_a_moment(stage, method: bytes) -> None:  # noqa: ANN001
    """Not answered by then, the client has gone: the node is told, the load is released, the connection closed."""
    client, transport = stage.client()
    client.data_received(method + b" /slow HTTP/1.1\r\nHost: h\r\n\r\n")
    _, node = stage.link(client)
    client.check(HALF_CLOSED_S + 1)
    assert client.eof_received() is True
    client.check(HALF_CLOSED_S)
    assert (node.closed, transport.closed) == (False, False)
    client.check(0.1)
    assert transport.closed
    client.connection_lost(None)
    assert node.closed
    assert transport.take() == b""
    assert stage.fleet.in_flight == 0


async def test_a_half_closed_client_waits_for_an_upload_and_for_the_rest_of_an_answer(stage) -> None:  # noqa: ANN001
    """What was uploaded may be stored: its answer is awaited; an answer that has begun is relayed to its end."""
    upload, transport = stage.client()
    upload.data_received(b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx")
    link, _ = stage.link(upload)
    upload.eof_received()
    upload.check(HALF_CLOSED_S + 1)
    link.data_received(OK)
    assert transport.take().startswith(b"HTTP/1.1 200 ")

    reader, transport = stage.client()
    reader.data_received(GET % 1)
    link, _ = stage.link(reader)
    link.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na")
    reader.eof_received()
    reader.check(HALF_CLOSED_S + 1)
    link.data_received(b"b")
    assert transport.take().endswith(b"ab")


def read(client: Client, data: bytes) -> None:
    """Bytes as the loop brings them: into the shared buffer."""
    client.get_buffer(-1)[: len(data)] = data
    client.buffer_updated(len(data))


async def test_what_waits_for_a_link_outlives_the_shared_buffer(stage) -> None:  # noqa: ANN001
    """Another connection may read into the buffer before the node is connected."""
    size = 100_000
    client, _ = stage.client()
    read(client, b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % size + b"a" * size)
    read(stage.client()[0], b"z" * size)
    _, node = stage.link(client)

    assert node.take().endswith(b"\r\n\r\n" + b"a" * size)


async def test_a_buffer_still_written_from_is_lent(stage) -> None:  # noqa: ANN001
    """While a node's transport has bytes left, the next read goes elsewhere; small reads are copied anyway."""
    client, _ = stage.client()
    read(client, b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 500000\r\n\r\n")
    _, node = stage.link(client)
    node.unsent = 1
    first = client.get_buffer(-1)
    read(client, b"a" * 1000)
    assert client.get_buffer(-1) is first
    read(client, b"a" * 100_000)

    assert client.get_buffer(-1) is not first
    assert node.take().endswith(b"a" * 101_000)


async def test_a_private_path_reaches_no_node(stage) -> None:  # noqa: ANN001 - the stage
    """404, and the connection ends, whatever body comes behind."""
    for raw in (
        b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /%6detrics HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc",
    ):
        client, transport = stage.client()
        client.data_received(raw)
        assert transport.written.startswith(b"HTTP/1.1 404 Not Found\r\n")
        assert client.exchange is None
