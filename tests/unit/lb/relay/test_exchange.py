"""lb.relay.exchange: placing, retrying, relaying and failing one request."""

import pytest

from lb.placement.health import Event, State

POST = b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n"
GET = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

pytestmark = pytest.mark.asyncio


async def test_a_request_and_its_answer_pass(stage) -> None:  # noqa: ANN001 - the stage fixture
    """Head and body go to the node, the answer comes back, loads return to nothing, the link is pooled."""
    client, transport = stage.client()
    client.data_received(POST + b"he")
    assert not transport.reading
    link, node = stage.link(client)
    assert transport.reading
    client.data_received(b"llo")
    assert stage.fleet.in_flight == 1
    assert "sent=5" in repr(client.exchange)
    link.data_received(OK)

    assert node.take().endswith(b"\r\n\r\nhello")
    assert transport.take().startswith(b"HTTP/1.1 200 OK\r\n")
    assert stage.fleet.in_flight == 0
    assert stage.context.pool.idle(link.node) == 1
    assert not transport.closed
    assert stage.context.counters.requests[2] == 1


async def test_nodes_that_refuse_are_passed_over(stage) -> None:  # noqa: ANN001
    """The next node of the key's order is asked; when all refused, 503 with nothing stored and the connection kept."""
    client, transport = stage.client()
    client.data_received(GET)
    first, second = stage.refuse(client), stage.refuse(client)

    assert {first.member.id, second.member.id} == {"a", "b"}
    said = transport.take()
    assert said.startswith(b"HTTP/1.1 503 ")
    assert b'"code":"no-nodes"' in said
    assert b'"stored":false' in said
    assert (stage.fleet.in_flight, stage.context.counters.retries) == (0, 1)
    assert not transport.closed


async def test_reading_goes_on_when_a_pooled_link_takes_over(stage) -> None:  # noqa: ANN001
    """The home refuses and the next node has an idle link: the body, stopped for the connect, flows again."""
    client, transport = stage.client()
    client.data_received(POST)
    home = stage.refuse(client)
    link, _ = stage.link(client)
    client.data_received(b"hello")
    link.data_received(OK)
    assert stage.context.pool.idle(link.node) == 1

    again, transport = stage.client()
    again.data_received(POST)
    assert not transport.reading
    assert stage.refuse(again) is home

    assert stage.link_of(again) is link
    assert transport.reading


async def test_nodes_that_do_not_connect_in_time_are_a_timeout(stage) -> None:  # noqa: ANN001
    """When the connection to every node timed out, the answer is 504."""
    client, transport = stage.client()
    client.data_received(POST)
    for _ in range(2):
        stage.refuse(client, timed_out=True)

    assert transport.take().startswith(b"HTTP/1.1 504 ")
    assert transport.ended


@pytest.mark.parametrize(
    ("request_bytes", "replayed"),
    [(GET, True), (GET.replace(b"GET", b"PUT"), True), (POST, True), (POST + b"h", False), (POST + b"hello", False),
     (GET.replace(b"GET", b"POST"), False)],
)  # fmt: skip
async def test_only_what_cannot_have_been_done_is_replayed(stage, request_bytes: bytes, replayed: bool) -> None:  # noqa: ANN001, FBT001
    """On a reused link that the node closed without an answer.

    An idempotent request, or one of whose body nothing was sent, is sent again; every other is answered 502.
    """
    client, transport = stage.client()
    client.data_received(GET)
    link, node = stage.link(client)
    link.data_received(OK)
    transport.take()
    client.data_received(request_bytes)
    assert stage.link_of(client) is link
    link.eof_received()

    if replayed:
        assert stage.link_of(client) is None
        assert transport.take() == b""
        assert stage.context.counters.retries == 1
    else:
        said = transport.take()
        assert said.startswith(b"HTTP/1.1 502 ")
        # Of an incomplete request no node has stored anything.
        assert (b'"stored":false' if request_bytes.endswith(b"\r\n\r\nh") else b'"stored":"unknown"') in said
    assert node.aborted


async def test_a_first_use_that_fails_is_not_replayed(stage) -> None:  # noqa: ANN001
    """A new connection that closes without an answer is the node failing, not a stale link."""
    client, transport = stage.client()
    client.data_received(GET)
    stage.link(client)[0].eof_received()

    said = transport.take()
    assert said.startswith(b"HTTP/1.1 502 ")
    assert b'"stored":false' in said


async def test_an_early_refusal_stops_the_body_and_spends_the_link(stage) -> None:  # noqa: ANN001
    """413 before the body is complete: relayed with close, the rest is dropped, the link is not pooled."""
    client, transport = stage.client()
    client.data_received(POST + b"h")
    link, node = stage.link(client)
    node.take()
    link.data_received(b"HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno")
    client.data_received(b"ello")

    said = transport.take()
    assert said.startswith(b"HTTP/1.1 413 No\r\n")
    assert b"\r\nConnection: close\r\n" in said
    assert said.endswith(b"no")
    assert node.take() == b""
    assert node.aborted
    assert (transport.ended, transport.closed) == (True, False)


async def test_an_early_welcome_lets_the_body_go_on(stage) -> None:  # noqa: ANN001
    """A node that answers 200 while it reads still gets the whole body."""
    client, transport = stage.client()
    client.data_received(POST + b"h")
    link, node = stage.link(client)
    node.take()
    link.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
    client.data_received(b"ello")
    link.data_received(b"k")

    assert node.take() == b"ello"
    assert transport.take().endswith(b"ok")
    assert transport.closed


async def test_a_cut_answer_breaks_the_connection(stage) -> None:  # noqa: ANN001
    """Once an answer has begun, the loss of its rest is shown by a reset, not by a second answer."""
    client, transport = stage.client()
    client.data_received(GET)
    link, _ = stage.link(client)
    link.data_received(OK[:-1])
    link.eof_received()

    assert transport.take().endswith(b"\r\n\r\no")
    assert transport.aborted
    assert stage.fleet.in_flight == 0


async def test_a_client_that_leaves_frees_the_node(stage) -> None:  # noqa: ANN001
    """The link of its request is closed; a link that was made after the client left is pooled."""
    client, _ = stage.client()
    client.data_received(POST)
    link, node = stage.link(client)
    client.connection_lost(None)
    assert node.aborted
    late, _ = stage.client()
    late.data_received(GET)
    exchange, home = late.exchange, stage.node_of(late)
    late.connection_lost(None)
    link.alive, link.node = True, home
    exchange.link_made(link)
    exchange.link_failed(home, timed_out=False)

    assert stage.fleet.in_flight == 0
    assert stage.context.counters.requests[0] == 2
    assert stage.context.pool.idle(home) == 1


async def test_draining_closes_after_the_answer(stage) -> None:  # noqa: ANN001
    """While draining every answer says close."""
    client, transport = stage.client()
    client.data_received(GET)
    link, _ = stage.link(client)
    stage.context.draining = True
    link.data_received(OK)

    assert b"\r\nConnection: close\r\n" in transport.take()
    assert transport.closed


async def test_a_dead_home_is_not_asked(stage) -> None:  # noqa: ANN001
    """Health decides before any connection is tried."""
    client, _ = stage.client()
    home = stage.fleet.nodes[stage.fleet.home(b"/x")]
    stage.fleet.note(home, Event.REFUSED, 0.0)
    client.data_received(GET)

    assert stage.node_of(client) is not home


async def test_moves_stop_when_the_budget_is_spent(stage) -> None:  # noqa: ANN001
    """The fourth of four requests that need a second node is answered 503, with nothing stored."""
    statuses = []
    for _ in range(4):
        client, transport = stage.client()
        client.data_received(GET)
        stage.refuse(client)
        statuses.append(transport.take()[9:12])

    assert statuses == [b"", b"", b"", b"503"]
    assert (stage.context.counters.retries, stage.fleet.retries_denied) == (3, 1)


async def test_a_connection_that_breaks_in_a_request_makes_its_node_suspect(stage) -> None:  # noqa: ANN001
    """At once; an idle link that the node closed does not."""
    client, _ = stage.client()
    client.data_received(POST + b"he")
    link, _ = stage.link(client)
    link.connection_lost(None)
    assert link.node.health.state is State.SUSPECT

    client, _ = stage.client()
    client.data_received(GET)
    link, _ = stage.link(client)
    link.data_received(OK)
    client.data_received(GET)
    link.connection_lost(None)
    assert link.node.health.state is State.HEALTHY


@pytest.mark.parametrize(
    ("field", "state"),
    [
        (b"", State.SUSPECT),
        (b"Retry-After: 1\r\n", State.HEALTHY),
        (b"Retry-After: 1\r\nSnapsurge-Cause: store\r\n", State.SUSPECT),
    ],
)
async def test_5xx_counts_and_overload_does_not(stage, field: bytes, state: State) -> None:  # noqa: ANN001
    """Five users are answered 503: with Retry-After the node is full; without it, or with a cause, the node is faulty.

    The cause is between node and balancer: no client sees it.
    """
    stage.fleet.note(stage.fleet.nodes["b"], Event.REFUSED, 0.0)
    for number in range(5):
        client, transport = stage.client()
        client.data_received(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % number)
        link = stage.link_of(client) or stage.link(client)[0]
        link.data_received(b"HTTP/1.1 503 Busy\r\n%bContent-Length: 0\r\n\r\n" % field)
        assert b"Busy" in transport.written
        assert b"Cause" not in transport.written
    stage.fleet.tick(1.0)

    assert stage.fleet.nodes["a"].health.state is state


@pytest.mark.parametrize("trusted", [False, True])
async def test_a_request_id_is_a_clients_only_from_a_trusted_balancer(stage, trusted: bool) -> None:  # noqa: ANN001, FBT001
    """Nobody can make a line of another request look like his own, or his like another's."""
    records = []
    stage.context.note = records.append
    client, transport = stage.client()
    client.trusted = trusted
    client.data_received(GET.replace(b"Host", b"X-Request-Id: theirs\r\nHost"))
    link, node = stage.link(client)
    link.data_received(OK)

    assert (b"X-Request-Id: theirs" in node.take()) is trusted
    assert (b"X-Request-Id: theirs" in transport.take()) is trusted
    assert (records[0].request_id == b"theirs", records[0].label) == (trusted, b"theirs")
