"""storage.s3.reply: every legal framing whole and a byte at a time, all else refused; as http.client reads it."""

from http.client import HTTPResponse
from io import BytesIO
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.s3.reply import HEAD_BYTES_MAX, LINE_BYTES_MAX, TEXT_BYTES_MAX, TRAILER_LINES_MAX, Reply, Said

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nA: b\r\n\r\n"
EXTENDED = b'2;a=b;c="d"\r\nhi\r\n00A ;x\r\n0\r\n\r\n12345\r\n000;last\r\nX: y\r\nZ:\r\n\r\n'
ETAG = b'HTTP/1.1 200 OK\r\nETag: "1"\r\n'


def heard(data: bytes, step: int = 10**9, *, head_only: bool = False) -> Reply:
    """The reply after these bytes, taken in steps."""
    reply = Reply(head_only=head_only)
    for start in range(0, len(data), step):
        reply.take(data[start : start + step])
    return reply


@pytest.mark.parametrize("step", [1, 3, 10**9])
@pytest.mark.parametrize(
    ("data", "body", "keeps"),
    [
        (ETAG + b"Content-Length: 2\r\n\r\nhi", b"hi", True),
        (ETAG + b"content-length:\t2 \r\nConnection: keep-alive\r\n\r\nhi", b"hi", True),
        (ETAG + b"Content-Length: 2\r\nConnection: x, Close\r\n\r\nhi", b"hi", False),
        (ETAG + b"Content-Length: 0\r\n\r\n", b"", True),
        (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", b"", True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"hi", False),
        (INTERIM + ETAG + b"Content-Length: 1\r\n\r\n1", b"1", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
        (b"HTTP/1.1 304 x\r\nContent-Length: 9\r\n\r\n", b"", True),
        (CHUNKED + b"0\r\n\r\n", b"", True),
        (CHUNKED + b"2\r\nhi\r\n0\r\n\r\n", b"hi", True),
        (CHUNKED + EXTENDED, b"hi0\r\n\r\n12345", True),
        (CHUNKED.replace(b"chunked", b"Chunked"), None, True),
    ],
)
def test_every_legal_framing_is_read(data: bytes, body: bytes | None, step: int, *, keeps: bool) -> None:
    """Counted, chunked with extensions and trailers, or without a body."""
    reply = heard(data, step)

    assert reply.keeps is keeps
    assert (reply.said.body if reply.said else None) == body
    assert reply.said is None or (reply.said.measured and reply.said.head.startswith(data[-len(data) :][:8]))


def test_an_answer_to_head_has_no_body_whatever_it_says() -> None:
    """Content-Length and chunks are those of the GET."""
    for framing in (b"Content-Length: 9\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"):
        assert heard(ETAG + framing, head_only=True).said is not None


@pytest.mark.parametrize("step", [1, 10**9])
def test_an_answer_without_a_length_ends_with_the_connection(step: int) -> None:
    """It may have been cut off, so it is not measured; a counted or chunked one that ends early is none at all."""
    reply = heard(ETAG + b"\r\nsome text", step)
    assert reply.said is None
    reply.ended()
    assert reply.said == Said(200, ETAG + b"\r\n", b"some text", measured=False)
    for cut in (b"", ETAG, ETAG + b"Content-Length: 2\r\n\r\nh", CHUNKED + b"2\r\nhi\r\n", CHUNKED + b"0\r\n"):
        reply = heard(cut, step)
        reply.ended()
        assert reply.said is None


@pytest.mark.parametrize("step", [1, 10**9])
@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-x\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n" + b"x" * HEAD_BYTES_MAX,
        b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\x00\r\n\r\n",
        ETAG + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi",
        ETAG + b"Content-Length: +2\r\n\r\nhi",
        ETAG + b"Content-Length: 2, 2\r\n\r\nhi",
        ETAG + b"Content-Length: 99999999999\r\n\r\n",
        ETAG + b"Content-Length: 9999999999\r\n\r\n",
        ETAG + b"Content-Length: 1\r\n\r\nhi",
        ETAG + b"Content-Length: 0\r\n\r\nh",
        CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\n") + b"0\r\n\r\n",
        CHUNKED.replace(b"1.1", b"1.0"),
        CHUNKED.replace(b"chunked", b"gzip, chunked"),
        CHUNKED.replace(b"chunked", b"gzip"),
        CHUNKED + b"0\r\n\r\nH",
        CHUNKED + b"\r\n0\r\n\r\n",
        CHUNKED + b"g\r\n",
        CHUNKED + b"-1\r\n",
        CHUNKED + b"2 \nhi",
        CHUNKED + b"2\r\nhi!\r\n",
        CHUNKED + b"2\r\nhi\n0\r\n\r\n",
        CHUNKED + b"123456789\r\n",
        CHUNKED + b"0\r\nX y\r\n\r\n",
        CHUNKED + b"0\r\n" + b"X: y\r\n" * (TRAILER_LINES_MAX + 1),
        CHUNKED + b"1;" + b"x" * LINE_BYTES_MAX,
        ETAG + b"\r\n" + b"x" * (TEXT_BYTES_MAX + 1),
    ],
)
def test_everything_else_is_refused(data: bytes, step: int) -> None:
    """What is ambiguous, malformed, too long, or more than one answer."""
    with pytest.raises(ConnectionError):
        heard(data, step)


def test_the_bounds_are_met_from_below_too() -> None:
    """As much as is allowed is taken."""
    trailers = CHUNKED + b"0\r\n" + b"X: y\r\n" * TRAILER_LINES_MAX + b"\r\n"
    line = CHUNKED + b"1;" + b"x" * (LINE_BYTES_MAX - 4) + b"\r\n1\r\n0\r\n\r\n"
    for data in (trailers, line):
        assert heard(data).said is not None
    assert heard(ETAG + b"\r\n" + b"x" * TEXT_BYTES_MAX).said is None


PIECES = st.lists(st.binary(min_size=1, max_size=40), max_size=6)


@given(PIECES, st.sampled_from([b"", b";a", b" ;a=b"]), st.sampled_from([b"", b"T: v\r\n"]), st.integers(1, 50))
def test_chunks_are_read_as_another_reader_reads_them(
    pieces: list[bytes], extension: bytes, trailer: bytes, step: int
) -> None:
    """The payload of any chunks, extensions and trailers, however they are cut."""
    framed = b"".join(b"%x%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces)
    data = CHUNKED + framed + b"0" + extension + b"\r\n" + trailer + b"\r\n"
    other = HTTPResponse(SimpleNamespace(makefile=lambda _: BytesIO(data)))
    other.begin()
    read = other.read()

    said = heard(data, step).said
    assert said is not None
    assert said.body == read == b"".join(pieces)


@given(st.binary(max_size=200), st.integers(1, 30))
def test_any_bytes_are_an_answer_or_an_error(data: bytes, step: int) -> None:
    """Nothing else is raised, and steps change nothing."""

    def end_of(step: int) -> object:
        try:
            return heard(CHUNKED + data, step).said
        except ConnectionError:
            return "refused"

    assert end_of(step) == end_of(10**9)
