"""lb.http1.head: the strict reading of request and response heads."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lb.http1.errors import RequestError, ResponseError
from lb.http1.head import OPTIONS_MAX, find_request, parse_request, parse_response

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # no test asserts a duration

LINE = b"POST /v1/x?y=1 HTTP/1.1\r\n"
HOST = b"Host: a.example:8080\r\n"
REFUSED = {
    b"": "bad-request",
    b"POST /x\r\n" + HOST: "bad-request",
    b"POST  /x HTTP/1.1\r\n" + HOST: "bad-request",
    b"POST /x HTTP/1.1 \r\n" + HOST: "bad-request",
    b"POST /\xc3\xa4 HTTP/1.1\r\n" + HOST: "bad-request",
    b"POST x HTTP/1.1\r\n" + HOST: "bad-request",
    b"POST /x#y HTTP/1.1\r\n" + HOST: "bad-request",
    b"POST * HTTP/1.1\r\n" + HOST: "bad-request",
    b"POST /x http/1.1\r\n" + HOST: "bad-request",
    b"POST /x HTTP/2.0\r\n" + HOST: "version-not-supported",
    b"POST /x HTTP/1.2\r\n" + HOST: "version-not-supported",
    b"CONNECT a:1 HTTP/1.1\r\n" + HOST: "not-implemented",
    b"GET http://b/ HTTP/1.1\r\n" + HOST: "bad-request",
    b"GET http://u@a.example:8080/ HTTP/1.1\r\n" + HOST: "bad-request",
    LINE: "bad-request",
    LINE + HOST + HOST: "bad-request",
    LINE + b"Host: \r\n": "bad-request",
    LINE + b"Host: a b\r\n": "bad-request",
    LINE + b"Host: a/b\r\n": "bad-request",
    LINE + HOST + b"X : 1\r\n": "bad-request",
    LINE + HOST + b" X: 1\r\n": "bad-request",
    LINE + HOST + b"X: 1\r\n 2\r\n": "bad-request",
    LINE + HOST + b"X: a\rb\r\n": "bad-request",
    LINE + HOST + b"X: a\nb\r\n": "bad-request",
    LINE + HOST + b"X: a\0b\r\n": "bad-request",
    LINE + HOST + b": 1\r\n": "bad-request",
    LINE + HOST + b"X\r\n": "bad-request",
    LINE + HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n": "bad-request",
    LINE + HOST + b"Content-Length: 5\r\ncontent-length: 5\r\n": "bad-request",
    LINE + HOST + b"Content-Length: 5, 5\r\n": "bad-request",
    LINE + HOST + b"Content-Length: +5\r\n": "bad-request",
    LINE + HOST + b"Content-Length: 5 5\r\n": "bad-request",
    LINE + HOST + b"Content-Length: \r\n": "bad-request",
    LINE + HOST + b"Content-Length: 9999999999999999\r\n": "bad-request",
    LINE + HOST + "Content-Length: \u0665\r\n".encode(): "bad-request",
    LINE + HOST + b"Transfer-Encoding: gzip, chunked\r\n": "bad-request",
    LINE + HOST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n": "bad-request",
    LINE + HOST + b"Transfer-Encoding: \x0bchunked\r\n": "bad-request",
    b"POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n": "bad-request",
    LINE + HOST + b"Expect: the-best\r\n": "expectation-failed",
    LINE + HOST + b"X: 1\r\n" * 100: "head-too-large",
}


@pytest.mark.parametrize("head", REFUSED)
def test_doubtful_heads_are_refused(head: bytes) -> None:
    """Each doubtful head raises the error of its kind."""
    with pytest.raises(RequestError) as caught:
        parse_request(head)

    assert caught.value.code == REFUSED[head]


def test_a_plain_head_is_read() -> None:
    """All that the balancer needs stands in the value; what it ends or writes anew is not in the fields."""
    head = parse_request(
        LINE + HOST + b"Content-Length:  12 \r\nAuthorization: Bearer t\r\nX-Request-ID: r-1\r\nAccept: */*\r\n"
        b"Connection: keep-alive, x-hop\r\nX-Hop: 1\r\nUpgrade: h2c\r\nSnapsurge-Retry: 1\r\nx_forwarded_for: 1\r\n"
    )

    assert (head.method, head.target, head.minor, head.host) == (b"POST", b"/v1/x?y=1", 1, b"a.example:8080")
    assert (head.length, head.chunked, head.keep_alive, head.request_id) == (12, False, True, b"r-1")
    assert head.authorization == b"Bearer t"
    assert head.fields == [b"Authorization: Bearer t", b"Accept: */*"]


@pytest.mark.parametrize(
    ("head", "kept"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n", True),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n", False),
        (b"GET / HTTP/1.0\r\n", False),
        (b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n", True),
    ],
)
def test_keep_alive_follows_version_and_option(head: bytes, kept: bool) -> None:  # noqa: FBT001
    """HTTP/1.1 stays unless told to close, HTTP/1.0 closes unless told to stay."""
    assert parse_request(head).keep_alive is kept


def test_an_absolute_target_becomes_a_path() -> None:
    """The absolute form is taken when its authority is the Host."""
    head = parse_request(b"GET http://A.example?q HTTP/1.1\r\nHost: a.EXAMPLE\r\n")

    assert (head.target, head.host) == (b"/?q", b"A.example")


def test_options_of_a_server_in_absolute_form_keep_their_meaning() -> None:
    """RFC 9112 section 3.2.4: without path and query it is `*`, with one it is a path."""
    line = b"OPTIONS http://a%b HTTP/1.1\r\nHost: a\r\n"
    assert [parse_request(line % rest).target for rest in (b"", b"/", b"?q")] == [b"*", b"/", b"/?q"]


def test_one_empty_line_before_a_request_is_forgiven() -> None:
    """RFC 9112 section 2.2: some clients end a body with one line end too many."""
    assert parse_request(b"\r\nGET / HTTP/1.1\r\nHost: a\r\n").target == b"/"


@pytest.mark.parametrize("identity", [b"a b", b"a" * 129, b"a,b", b""])
def test_a_strange_request_id_is_not_believed(identity: bytes) -> None:
    """Only a short token is passed on as request id."""
    assert parse_request(LINE + HOST + b"X-Request-Id: " + identity + b"\r\n").request_id == b""


def test_a_bare_line_feed_is_refused_before_the_head_is_complete() -> None:
    """A head of bare LFs would never end, so it is refused as it comes."""
    assert find_request(b"GET / HTTP/1.1\r\nHost: a\r\nX: \r", 100) is None
    with pytest.raises(RequestError):
        find_request(b"GET / HTTP/1.1\nHost: a\n", 100)


def test_a_head_is_taken_from_the_stream_within_its_limit() -> None:
    """It is told where the head ends and what follows begins; a head over the limit is refused, complete or not."""
    raw = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    taken = find_request(raw + b"rest", 100)

    assert taken
    assert (taken[0].target, taken[1]) == (b"/", len(raw))
    for long in (raw, raw[:-2]):
        with pytest.raises(RequestError, match="head-too-large"):
            find_request(long, 20)


@UNHURRIED
@given(
    st.binary(max_size=200)
    | st.lists(st.sampled_from([LINE, HOST, b"A:", b" ", b"\r", b"\n", b"\0", b"x"])).map(b"".join)
)
def test_any_bytes_are_read_or_refused(head: bytes) -> None:
    """Nothing but RequestError leaves the parser, and what it passes on holds no control byte."""
    try:
        read = parse_request(head)
    except RequestError:
        return

    assert not any(byte in b"\r\n\0" for field in [*read.fields, read.target, read.host] for byte in field)


def test_a_response_is_read() -> None:
    """Status, reason, framing; hop-by-hop fields are gone and the request id is seen."""
    head = parse_response(
        b"HTTP/1.1 201 Made it\r\nContent-Length: 3\r\nKeep-Alive: 5\r\nConnection: close\r\nX-Request-Id: q\r\n"
        b"ETag: x\r\n"
    )

    assert (head.status, head.reason, head.length, head.chunked) == (201, b"Made it", 3, False)
    assert (head.keep_alive, head.has_request_id) == (False, True)
    assert head.fields == [b"X-Request-Id: q", b"ETag: x"]


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/2 200 OK\r\n",
        b"HTTP/1.1 20 OK\r\n",
        b"HTTP/1.1 200 OK\r\nA\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n",
    ],
)
def test_doubtful_responses_are_refused(head: bytes) -> None:
    """A node's answer is held to the same strictness."""
    with pytest.raises(ResponseError):
        parse_response(head)


def test_framing_in_underscores_is_refused_and_our_names_in_them_are_dropped() -> None:
    """CGI-like servers read `Content_Length` as `Content-Length`: it must not reach one."""
    for name in (b"Content_Length: 5", b"TRANSFER_ENCODING: chunked"):
        with pytest.raises(RequestError, match="underscore"):
            parse_request(b"GET / HTTP/1.1\r\nHost: a\r\n" + name + b"\r\n")
    head = parse_request(b"GET / HTTP/1.1\r\nHost: a\r\nX_Request_Id: 1\r\nx_forwarded_for: 1\r\nMy_Own: 1\r\n")
    assert head.fields == [b"My_Own: 1"]
    assert head.balancer_fields == []


def test_what_only_a_balancer_may_say_is_kept_apart() -> None:
    """Claims are no fields, and Connection can list them away."""
    raw = b"GET / HTTP/1.1\r\nHost: a\r\nSnapsurge-Retry: 1\r\nX-Forwarded-For: 1\r\nConnection: snapsurge-retry\r\n"
    head = parse_request(raw)
    assert (head.fields, head.balancer_fields) == ([], [b"X-Forwarded-For: 1"])


@pytest.mark.parametrize("name", [b"traceparent", b"Traceparent", b"TraceState", b"trace_parent"])
def test_a_trace_restarts_at_the_edge(name: bytes) -> None:
    """Only a trusted balancer's is passed on, in any spelling; also where the rest of the head is ordinary."""
    head = parse_request(b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n" + name + b": 00-1\r\n")
    kept = name != b"trace_parent"
    assert (head.ordinary, head.fields) == (b"", []) if kept else head.fields == [b"trace_parent: 00-1"]
    assert head.balancer_fields == ([name + b": 00-1"] if kept else [])


def test_connection_names_a_bounded_number_of_fields() -> None:
    """The last one that counts, and one more; in one line or several."""
    head = b"GET / HTTP/1.1\r\nHost: a\r\n"
    assert parse_request(head + b"Connection: " + b"a," * (OPTIONS_MAX - 1) + b"b\r\n").keep_alive
    for one_more in (b"Connection: " + b"a," * OPTIONS_MAX + b"b\r\n", b"Connection: a\r\n" * (OPTIONS_MAX + 1)):
        with pytest.raises(RequestError, match="Connection has more than"):
            parse_request(head + one_more)


def test_a_head_in_pieces_is_the_same_head() -> None:
    """Wherever it is cut, told what was seen before; a bare LF is found at once, also at a cut."""
    whole = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    bare = b"GET / HTTP/1.1\r\nHost: a\n"
    for cut in range(len(whole)):
        assert find_request(whole[:cut], 100) is None
        assert find_request(whole, 100, cut) == find_request(whole, 100)
    for cut in range(len(bare)):
        with pytest.raises(RequestError, match="bare LF"):
            find_request(bare, 100, cut)
