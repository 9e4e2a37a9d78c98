"""lb.http1.forward: the heads that the balancer writes."""

from lb.http1.forward import interim_head, request_head, response_head
from lb.http1.head import find_request, parse_request, parse_response
from lb.http1.origin import Origin

RAW = b"POST /x HTTP/1.1\r\nHost: a\r\nA: 1\r\n%b"


def forwarded(extra: bytes) -> bytes:
    """The head that a node gets."""
    head = parse_request(RAW % extra)
    return request_head(head, Origin(b"10.0.0.1", b"10.0.0.1"), 1234, b"r")


def test_the_node_gets_the_clients_fields_and_ours() -> None:
    """The framing is written anew, and our own fields stand once."""
    assert forwarded(b"Content-Length: 007\r\n") == (
        b"POST /x HTTP/1.1\r\nHost: a\r\nA: 1\r\nContent-Length: 7\r\nSnapsurge-Received-At: 1234\r\n"
        b"X-Request-Id: r\r\nX-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\n"
        b"Via: 1.1 snapsurge\r\n\r\n"
    )


def test_the_stamp_stands_beside_what_it_covers() -> None:
    """In a head that is copied and in one that is written anew."""
    stamp = b"Snapsurge-Stamp: 00\r\n"
    for raw in (RAW % b"Content-Length: 7\r\n", RAW % b"Content-Length: 007\r\n"):
        found = find_request(raw + b"\r\n", 16384)
        assert found
        head = found[0]
        assert b"Snapsurge-Received-At: 1\r\n" + stamp in request_head(head, Origin(b"-", b"-"), 1, b"r", stamp)


def test_a_retry_is_told() -> None:
    """Both fields, once."""
    head = parse_request(RAW % b"Content-Length: 7\r\n")
    sent = request_head(head, Origin(b"-", b"-").retried(1, 2, 0), 1, b"r")

    assert sent.count(b"Snapsurge-Retry: 1\r\n") == sent.count(b"Snapsurge-Tried-At: 2\r\n") == 1


def test_framing_and_expectation_are_passed_on() -> None:
    """Chunked stays chunked, no body stays none, 100-continue is the node's to answer."""
    assert b"\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n" in forwarded(
        b"Transfer-Encoding: Chunked\r\nExpect: 100-Continue\r\n"
    )
    assert b"Content-Length" not in forwarded(b"")


def test_http_1_0_gets_a_host() -> None:
    """What HTTP/1.0 leaves out HTTP/1.1 needs."""
    head = parse_request(b"GET / HTTP/1.0\r\n")

    assert b"Host: localhost\r\n" in request_head(head, Origin(b"-", b"-"), 1, b"r")


def answer(raw: bytes, *, minor: int = 1, keep_alive: bool = True, bodiless: bool = False) -> list[bytes]:
    """The lines that a client gets."""
    head = parse_response(raw)
    chunked = head.chunked and minor == 1
    made = response_head(head, request_id=b"r", minor=minor, keep_alive=keep_alive, chunked=chunked, bodiless=bodiless)
    assert made.endswith(b"\r\n\r\n")
    return made.split(b"\r\n")[:-2]


def test_answers_say_how_they_end() -> None:
    """Length, chunks and connection options fit how the body is sent and to whom."""
    plain = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"

    assert answer(plain) == [b"HTTP/1.1 200 OK", b"Content-Length: 2", b"X-Request-Id: r", b"Via: 1.1 snapsurge"]
    assert answer(plain, keep_alive=False)[-1] == b"Connection: close"
    assert answer(plain, minor=0)[-1] == b"Connection: keep-alive"
    assert b"Transfer-Encoding: chunked" in answer(chunked)
    assert b"Transfer-Encoding: chunked" not in answer(chunked, minor=0, keep_alive=False)
    assert b"Content-Length: 2" in answer(plain, bodiless=True)
    assert b"Content-Length: 2" not in answer(b"HTTP/1.1 204 No\r\nContent-Length: 2\r\n", bodiless=True)


def test_interim_answers_pass_bare() -> None:
    """100 Continue is its status line."""
    assert interim_head(parse_response(b"HTTP/1.1 100 Continue\r\n")) == b"HTTP/1.1 100 Continue\r\n\r\n"
