"""ingest.resuming.beginnings: what the node says of a creation gives the ticket that its refusal would have given."""

import base64
import json

import pytest
from multidict import CIMultiDict

from ingest.resuming.beginnings import BEGUN, Beginning
from lb.http1.begun import beginning, begun_in
from lb.http1.head import RequestHead, parse_request, parse_response
from lb.http1.tickets import Tickets, Verdict

AT, NOW = 1_790_000_000_000, 1_790_000_050_000
TARGET = "/v1/moments/m/posts"
BEARER = "Authorization: Bearer e30." + base64.urlsafe_b64encode(json.dumps({"sub": "ann"}).encode()).decode() + ".c2ln"
DIGEST = "sha-256=:" + "YWJj" * 10 + "YWI=:"
TICKETS = Tickets([b"0123456789abcdef"])


def creation(fields: list[str]) -> RequestHead:
    """The head of the request that began the upload, as the phone sends it."""
    lines = [f"POST {TARGET} HTTP/1.1", "Host: a", BEARER, "Upload-Draft-Interop-Version: 8", *fields]
    return parse_request("\r\n".join([*lines, ""]).encode())


def handed_back(fields: list[str]) -> tuple[RequestHead, int] | None:
    """What the balancer reads in the answer of the node that had the creation."""
    sent = CIMultiDict((field.split(": ", 1)[0], field.split(": ", 1)[1]) for field in fields)
    told = Beginning(AT, TARGET, sent).told()[BEGUN]
    answer = parse_response(f"HTTP/1.1 503 x\r\nContent-Length: 0\r\n{BEGUN}: {told}\r\n".encode())
    patch = f"PATCH /v1/uploads/x HTTP/1.1\r\nHost: a\r\n{BEARER}\r\nContent-Length: 1\r\n"
    return beginning(begun_in(answer), parse_request(patch.encode()))


@pytest.mark.parametrize(
    ("fields", "given"),
    [
        (["Content-Length: 700000", "Upload-Complete: ?1"], True),
        (["content-length: 700000", "upload-incomplete: ?0"], True),
        (["Content-Length: 700000", "Upload-Complete: ?1", f"Content-Digest: {DIGEST}"], True),
        (["Content-Length: 700000", "Upload-Complete: ?1", "Repr-Digest: a=:YQ==:", f"Repr-Digest: {DIGEST}"], True),
        (["Content-Length: 0", "Upload-Complete: ?0", "Upload-Length: 700000"], True),
        (["Transfer-Encoding: chunked", "Upload-Complete: ?1", f"Repr-Digest: {DIGEST}"], True),
        (["Transfer-Encoding: chunked", "Upload-Complete: ?1"], False),
        (["Content-Length: 0", "Upload-Complete: ?0"], False),
        (["Content-Length: 9", "Upload-Complete: ?0", f"Content-Digest: {DIGEST}"], False),
    ],
)
def test_the_ticket_is_that_of_the_creation(fields: list[str], *, given: bool) -> None:
    """As strong as if the creation had been refused, and none where it would have had none."""
    found = handed_back(fields)
    assert found is not None
    head, at_ms = found
    ticket = TICKETS.give(head, at_ms, NOW)
    assert ticket == TICKETS.give(creation(fields), AT, NOW)
    assert bool(ticket) is given
    if given:
        assert TICKETS.read(creation(fields), ticket, NOW) == Verdict("honoured", AT)
        other = [field.replace("700000", "700001").replace("YWJj", "YWJk") for field in fields]
        assert TICKETS.read(creation(other), ticket, NOW) == Verdict("foreign")
