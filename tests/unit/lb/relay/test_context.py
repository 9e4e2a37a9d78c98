"""lb.relay.context: request ids, random retries, trusted peers, tickets for failures."""

import pytest

from lb.http1.head import parse_request
from lb.http1.tickets import POSITIONS_MASK
from lb.placement.refusals import POSITIONS

POST = b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n"


async def test_ids_and_retries_are_spread(stage) -> None:  # noqa: ANN001
    """Request ids differ, Retry-After has jitter within its limit."""
    assert stage.context.new_id() != stage.context.new_id()
    assert {stage.context.retry_after_s() for _ in range(200)} == set(range(1, stage.config.retry_after_s + 1))


@pytest.mark.parametrize(("status", "given"), [(503, True), (500, False)])
async def test_a_ticket_says_when_the_request_was_received(stage, status: int, given: bool) -> None:  # noqa: ANN001, FBT001
    """For a status that calls for one; reading it gives the time back."""
    head = parse_request(POST)
    received_ms = stage.context.unix_ms() - 1000
    ticket = stage.context.ticket(head, status, received_ms, key=b"k", node=None, refused=0)

    assert bool(ticket) is given
    if given:
        assert stage.context.tickets.read(head, ticket, stage.context.unix_ms()).first_ms == received_ms


def test_a_ticket_has_a_bit_for_each_place_that_refusals_count() -> None:
    """The two modules rank_nodes side by side and do not import each other."""
    assert (1 << POSITIONS) - 1 == POSITIONS_MASK


@pytest.mark.parametrize(("more", "status"), [(0, b"200"), (1, b"414")])
async def test_a_target_is_bounded_from_both_sides(stage, more: int, status: bytes) -> None:  # noqa: ANN001
    """By the limit that the nodes have too, so that no node meets a longer one; the answer names it."""
    client, transport = stage.client()
    target = b"/x?q=".ljust(stage.config.target_bytes_max + more, b"y")
    client.data_received(b"GET " + target + b" HTTP/1.1\r\nHost: h\r\n\r\n")
    if client.exchange is not None:
        stage.link(client)[0].data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    said = transport.take()

    assert said.split(b" ")[1] == status
    assert (b"more than 2048 bytes" in said) is (more > 0)
