"""lb.http1.begun: what a node says of the request that began an upload is read strictly, and only for a later one."""

import base64

import pytest

from lb.http1.begun import beginning, begun_in
from lb.http1.head import parse_request, parse_response
from lb.http1.tickets import with_ticket

HEAD = b"POST /p HTTP/1.1\r\nHost: begun\r\nContent-Length: 5\r\n"
SAID = b"1790000000000 " + base64.urlsafe_b64encode(HEAD)
PATCH = parse_request(b"PATCH /u HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x\r\nContent-Length: 1\r\n")


def test_the_head_is_that_of_the_post_with_the_user_of_the_continuing_request() -> None:
    """A token may have been renewed since."""
    found = beginning(SAID, PATCH)
    assert found is not None
    head, at_ms = found
    assert (head.method, head.target, head.length, at_ms) == (b"POST", b"/p", 5, 1_790_000_000_000)
    assert head.authorization == b"Bearer x"


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b"x", SAID[:13], SAID[14:], SAID.replace(b" ", b"  "), SAID[:-1], SAID + b"!", b"-" + SAID),
        b"1790000000000 " + base64.urlsafe_b64encode(HEAD.replace(b"Content-Length: 5", b"Content-Length: x")),
        b"1790000000000 " + base64.urlsafe_b64encode(b"x" * 9000),
    ],
)
def test_anything_else_is_nothing(value: bytes) -> None:
    """Malformed, too long, no head: no ticket, and no error."""
    assert beginning(value, PATCH) is None


def test_a_post_speaks_for_itself() -> None:
    """Its own head is what its ticket is bound to."""
    assert beginning(SAID, parse_request(HEAD)) is None


def test_the_field_is_for_balancers() -> None:
    """The one that faces the client removes it, with the tickets of nodes; one behind another keeps it."""
    answer = parse_response(b"HTTP/1.1 503 x\r\nContent-Length: 0\r\nSnapsurge-Begun:  %b \r\nA: 1\r\n" % SAID)
    assert begun_in(answer) == SAID
    assert begun_in(with_ticket(answer, b"t")) == b""
    assert with_ticket(answer, b"t").fields == [b"A: 1", b"Snapsurge-Ticket: t"]
    assert begun_in(with_ticket(answer, b"", relays=True)) == SAID
    assert begun_in(parse_response(b"HTTP/1.1 503 x\r\nContent-Length: 0\r\n")) == b""
