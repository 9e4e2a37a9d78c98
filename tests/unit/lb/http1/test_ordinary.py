"""lb.http1.ordinary: the proof is never wider than the rules, and what it proves reads the same line by line."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lb.http1.errors import RequestError, ResponseError
from lb.http1.forward import request_head, response_head
from lb.http1.head import _ENDED, _ORDINARY_REQUEST, _OURS, _READ, find_request, parse_request, parse_response
from lb.http1.ordinary import requests, responses
from lb.http1.origin import Origin

LINE = b"POST /v1/x?y=1 HTTP/1.1\r\n"
HOST = b"Host: lb.example\r\n"
NAMES = [*sorted(_READ), b"snapsurge-x", b"x-forwarded-for", b"accept", b"x-user", b"con", b"hosts"]
VALUES = [b"1", b"12", b"close", b"keep-alive", b"chunked", b"h", b"a b", b"", b"0012", b"+1", b"1\t", b"\xff", b"a\0"]


def spelt(names: list[bytes]) -> st.SearchStrategy[bytes]:
    """One of the names in some case, now and then with an underscore or a space."""
    cases = st.sampled_from([bytes.lower, bytes.upper, bytes.title, lambda name: name.replace(b"-", b"_")])
    return st.builds(lambda name, case: case(name), st.sampled_from(names), cases)


FIELDS = st.lists(
    st.builds(
        lambda name, colon, value, end: name + colon + value + end,
        spelt(NAMES),
        st.sampled_from([b": ", b":", b" :", b":\t"]),
        st.sampled_from(VALUES),
        st.sampled_from([b"\r\n"] * 9 + [b"\n"]),
    ),
    max_size=6,
)
LINES = st.sampled_from(
    [LINE, b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.0\r\n", b"GET http://h/ HTTP/1.1\r\n", b"CONNECT h:1 HTTP/1.1\r\n",
     b"OPTIONS * HTTP/1.1\r\n", b"GET /a#b HTTP/1.1\r\n", b"GET /a b HTTP/1.1\r\n", b"HEAD / HTTP/1.1\r\n"]
)  # fmt: skip


def lines_of(raw: bytes) -> list[bytes]:
    """The lines of a head, the fields in any order."""
    first, *fields = raw.lower().split(b"\r\n")
    return [first, *sorted(field.replace(b": ", b":").rstrip() for field in fields)]


@given(LINES, FIELDS, st.booleans())
@example(LINE, [b"Content-Length: 0012\r\n"], True)
@example(LINE, [b"Connection: keep-alive\r\n", b"Content-Length: 12\r\n"], True)
def test_what_is_ordinary_reads_the_same_line_by_line(line: bytes, fields: list[bytes], with_host: bool) -> None:  # noqa: FBT001
    """Whatever matches is accepted by the rules, with the same meaning, and the node gets the same lines."""
    raw = line + HOST * with_host + b"".join(fields)
    if _ORDINARY_REQUEST(raw) is None:
        return
    strict = parse_request(raw)
    found = find_request(raw + b"\r\nrest", 16384)

    assert found
    assert found[1] == len(raw) + 2
    for name in ("method", "target", "minor", "host", "length", "chunked", "keep_alive", "expects_continue",
                 "authorization", "request_id"):  # fmt: skip
        assert getattr(found[0], name) == getattr(strict, name)
    sent, expected = (request_head(head, Origin(b"10.0.0.1", b"10.0.0.1"), 1, b"id") for head in (found[0], strict))
    assert lines_of(sent) == lines_of(expected)


@given(st.sampled_from([b"200 OK", b"201", b"204 No", b"304 Not", b"101 Up", b"404 "]), FIELDS)
@example(b"200 OK", [b"Content-Length: 5\r\n", b"X-Request-Id: a\r\n"])
def test_an_ordinary_answer_reads_the_same_line_by_line(status: bytes, fields: list[bytes]) -> None:
    """As for requests."""
    raw = b"HTTP/1.1 " + status + b"\r\n" + b"".join(fields)
    try:
        quick = parse_response(raw)
    except ResponseError:
        return
    if not quick.ordinary:
        return
    # A field that must be looked at line by line, and goes no further, takes the other way.
    strict = parse_response(raw + b"Keep-Alive: x\r\n")

    assert not strict.ordinary
    for name in ("status", "reason", "length", "chunked", "keep_alive", "has_request_id"):
        assert getattr(quick, name) == getattr(strict, name)
    for minor, keep_alive in ((1, True), (1, False), (0, False)):
        said = {"request_id": b"i", "minor": minor, "keep_alive": keep_alive, "chunked": False, "bodiless": False}
        assert lines_of(response_head(quick, **said)) == lines_of(response_head(strict, **said))


@pytest.mark.parametrize("name", sorted(_READ - {b"host", b"content-length", b"authorization", b"connection"}))
def test_every_name_that_the_rules_read_is_looked_at_there(name: bytes) -> None:
    """In any case; so a name added to the rules is never skipped."""
    for spelling in (name, name.upper(), name.title()):
        assert _ORDINARY_REQUEST(LINE + HOST + spelling + b": x\r\n") is None


@pytest.mark.parametrize(
    "fields",
    [b"", HOST + HOST, HOST + b"content-length: 1\r\nContent-Length: 1\r\n", HOST + b"Content-Length:1\r\n",
     HOST + b"Content-Length: 01\r\n", HOST + b"X_User: 1\r\n", HOST + b"Connection: close\r\n",
     HOST + b"Snapsurge-Retry: 1\r\n", HOST + b"Authorization: a\r\nAuthorization: b\r\n", HOST + b" x: y\r\n",
     HOST + b"x: a\rb\r\n", HOST + b"x: \x7f\r\n", b"Host: a/b\r\n", HOST + b"a: b\r\n" * 100],
)  # fmt: skip
def test_doubt_is_not_ordinary(fields: bytes) -> None:
    """Missing, doubled, oddly spelt or forbidden: read line by line."""
    assert _ORDINARY_REQUEST(LINE + fields) is None


def test_kept_alive_is_said_without_the_line() -> None:
    """`Connection: keep-alive` is hop-by-hop: it makes no head special and goes no further."""
    found = find_request(LINE + b"Connection: Keep-Alive\r\n" + HOST + b"\r\n", 1000)

    assert found
    assert found[0].ordinary == LINE + HOST


def test_matchers_stand_alone() -> None:
    """Names and prefixes come in; a name may begin with another."""
    request = requests(names={b"te", b"ten"}, prefixes=(b"x-",), fields_max=3)
    response = responses(names=_ENDED)

    assert request(LINE + HOST + b"Tea: 1\r\nTenor: 2\r\n")
    assert not request(LINE + HOST + b"Ten: 1\r\n")
    assert not request(LINE + HOST + b"X-a: 1\r\n")
    assert response(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n")
    assert not response(b"HTTP/1.1 200 OK\r\n")
    assert _OURS
    with pytest.raises(RequestError):
        find_request(LINE + b"\r\n", 1000)


def test_a_link_with_a_signature_is_ordinary() -> None:
    """Base64url and digits in a query have one spelling: such reads take the fast path."""
    target = b"/v1/posts/abc-eu-20260101-x/photos/front/thumb?exp=1795999066&sig=g4x4V_-Qt9neUH2gIucOHXrDABRogqQd"
    found = find_request(b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n", 16384)

    assert found
    assert (found[0].target, bool(found[0].ordinary)) == (target, True)


@pytest.mark.parametrize(
    ("fields", "ordinary"),
    [
        ([b"Transfer-Encoding: chunked\r\n"], True),
        ([b"transfer-encoding: chunked\r\n", b"X: y\r\n"], True),
        ([b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n"], False),
        ([b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"], False),
        ([b"Transfer-Encoding: chunked\r\n"] * 2, False),
        ([b"Transfer-Encoding: Chunked\r\n"], False),
        ([b"Transfer-Encoding: gzip, chunked\r\n"], False),
        ([b"Transfer-Encoding: chunked \r\n"], False),
    ],
)
def test_a_chunked_head_is_ordinary_in_one_spelling_only(fields: list[bytes], *, ordinary: bool) -> None:
    """Alone, once, and without a length; every other spelling goes to the strict rules."""
    raw = LINE + HOST + b"".join(fields)
    found = _ORDINARY_REQUEST(raw)

    assert (found is not None) is ordinary
    if ordinary:
        head = find_request(raw + b"\r\n", 16384)[0]
        assert (head.chunked, head.length, bool(head.ordinary)) == (True, None, True)
