"""lb.http1.errors: the problems that the balancer reports."""

import json

import pytest

from lb.http1.errors import PROBLEMS, problem


@pytest.mark.parametrize("code", PROBLEMS)
def test_every_problem_is_a_whole_answer(code: str) -> None:
    """Each code gives a status line, the right length and the members of RFC 9457 and ours."""
    head, _, body = problem(code, b"id-1", retry_after_s=3, stored="unknown").partition(b"\r\n\r\n")
    said = json.loads(body)

    assert head.startswith(b"HTTP/1.1 %d " % PROBLEMS[code].status)
    assert b"Content-Length: %d\r\n" % len(body) in head
    assert b"\r\nX-Content-Type-Options: nosniff\r\n" in head
    assert set(said) == {"type", "title", "status", "code", "detail", "request_id", "stored"}
    assert (said["code"], said["stored"], said["request_id"]) == (code, "unknown", "id-1")
    # Scripts of web pages may read it, with the fields that they need to try again; the same for every origin.
    assert b"\r\nAccess-Control-Allow-Origin: *\r\n" in head
    exposed = head.partition(b"Access-Control-Expose-Headers: ")[2].partition(b"\r\n")[0].split(b", ")
    assert exposed == [b"Retry-After", b"Snapsurge-Ticket", b"X-Request-Id"]
    assert b"Vary" not in head
    assert (b"Retry-After: 3" in head) == (PROBLEMS[code].status in {502, 503, 504})


def test_a_head_request_gets_no_body() -> None:
    """The answer to HEAD has the length of the body that it leaves out."""
    full, bare = problem("no-nodes", b"x"), problem("no-nodes", b"x", bodiless=True)

    assert full.startswith(bare)
    assert bare.endswith(b"\r\n\r\n")
