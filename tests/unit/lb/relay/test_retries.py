"""Over the balancer's protocols: who is given a ticket, and what its retry is to the next node."""

import time

import pytest

from lb.relay.counters import TICKETS as COUNTED

POST = b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n"
GET = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n"
KEPT = POST.replace(b"\r\n\r\n", b"\r\nSnapsurge-Received-At: 1\r\nSnapsurge-Retry: 1\r\n\r\n")


def ticket_in(answer: bytes) -> bytes:
    """The ticket of an answer, empty when it has none."""
    return answer.partition(b"\r\nSnapsurge-Ticket: ")[2].partition(b"\r\n")[0]


def received_ms(head: bytes) -> int:
    """When the request was received, as the head for a node says."""
    return int(head.rpartition(b"\r\nSnapsurge-Received-At: ")[2].partition(b"\r\n")[0])


def told(head: bytes) -> tuple[int, bool]:
    """What a node is told: when the request was received, and whether it is a retry with a ticket."""
    return received_ms(head), b"\r\nSnapsurge-Retry: 1\r\n" in head


@pytest.mark.parametrize("answer", ["502 Gone", "503 Full", "504 Slow", "507 Full"])
@pytest.mark.asyncio
async def test_a_relayed_failure_of_a_post_carries_our_ticket_which_its_retry_spends(stage, answer: str) -> None:  # noqa: ANN001
    """In place of the node's own; the node then hears the first time again, and that it is a retry."""
    client, transport = stage.client()
    client.data_received(KEPT + b"hello")
    link, node = stage.link(client)
    first = told(node.take())
    link.data_received(b"HTTP/1.1 %b\r\nContent-Length: 0\r\nSnapsurge-Ticket: fake\r\n\r\n" % answer.encode())
    ticket = ticket_in(transport.take())
    client.data_received(POST.replace(b"Host", b"Snapsurge-Ticket: %b\r\nHost" % ticket) + b"hello")
    other, retried = stage.link(client)

    assert other.node is not link.node
    assert first[0] > 1
    assert not first[1]
    assert told(retried.take()) == (first[0], True)
    assert stage.context.counters.tickets == dict.fromkeys(COUNTED, 0) | {"given": 1, "honoured": 1}


@pytest.mark.asyncio
async def test_a_failure_of_our_own_carries_a_ticket_and_renews_it(stage) -> None:  # noqa: ANN001
    """No node, twice: the ticket of the second answer states the time of the first request, too."""
    client, transport = stage.client()
    tickets: list[bytes] = []
    for _ in range(2):
        extra = b"Snapsurge-Ticket: %b\r\n" % tickets[-1] if tickets else b""
        client.data_received(POST.replace(b"Host", extra + b"Host") + b"hello")
        client.exchange.fail("no-nodes")
        tickets.append(ticket_in(transport.take()))
        failed_ms = time.time_ns() // 1_000_000
        while time.time_ns() // 1_000_000 <= failed_ms + 1:  # so that no two requests have the same time
            pass
    heads = []
    for ticket in tickets:
        retry, _ = stage.client()
        retry.data_received(POST.replace(b"Host", b"Snapsurge-Ticket: %b\r\nHost" % ticket) + b"hello")
        heads.append(told(stage.link(retry)[1].take()))

    assert all(tickets)
    assert heads[0] == heads[1]
    assert heads[0][1]


@pytest.mark.parametrize(
    ("request_head", "answer"), [(GET, b"503 Full"), (POST + b"hello", b"500 Bug"), (POST + b"hello", b"429 You")]
)
@pytest.mark.asyncio
async def test_no_ticket_where_none_is_due(stage, request_head: bytes, answer: bytes) -> None:  # noqa: ANN001
    """Not for other methods, other faults, or clients that are too fast."""
    client, transport = stage.client()
    client.data_received(request_head)
    link, _ = stage.link(client)
    link.data_received(b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % answer)

    assert ticket_in(transport.take()) == b""
    assert stage.context.counters.tickets["given"] == 0


@pytest.mark.asyncio
async def test_a_bad_ticket_is_ignored_and_counted(stage) -> None:  # noqa: ANN001
    """The request passes as if it had none."""
    client, _ = stage.client()
    client.data_received(POST.replace(b"Host", b"Snapsurge-Ticket: nonsense\r\nHost") + b"hello")
    _, node = stage.link(client)

    assert not told(node.take())[1]
    assert stage.context.counters.tickets["malformed"] == 1
