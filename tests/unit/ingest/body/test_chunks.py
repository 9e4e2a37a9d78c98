"""ingest.body.chunks: payload out of any legal framing, in whatever pieces it comes; everything else refused."""

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.body.chunks import LAST_BYTES, LINE_BYTES_MAX, TRAILER_BYTES_MAX, BadChunks, Chunks
from lb.http1.body import BodyError, Chunked


def fed(data: bytes, step: int) -> tuple[bytes, Chunks]:
    """The payload, and the reader after the last byte."""
    chunks, out, at = Chunks(), b"", 0
    while at < len(data) and not chunks.done:
        out += b"".join(chunks.feed(memoryview(data)[at : at + step]))
        at += step
    return out, chunks


@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=6),
    st.sampled_from([b"", b";a=b", b" ; x"]),
    st.sampled_from([b"", b"A: b\r\nC: d\r\n"]),
    st.integers(1, 60),
)
def test_the_payload_comes_out(pieces: list[bytes], extension: bytes, trailer: bytes, step: int) -> None:
    """Extensions and trailers are dropped, and what follows is left over."""
    framed = b"".join(b"%X%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces)
    out, chunks = fed(framed + b"00\r\n" + trailer + b"\r\nNEXT", step)

    assert out == b"".join(pieces)
    assert chunks.done
    assert b"NEXT".startswith(chunks.rest)
    assert step < 60 or chunks.rest


@given(st.binary(max_size=120), st.integers(1, 20))
def test_it_reads_as_the_balancer_does(data: bytes, step: int) -> None:
    """The same payload, or both refuse: two readers that differ are how requests are smuggled."""
    balancer = Chunked(reframe=False)
    try:
        theirs: object = balancer.feed(data)
    except BodyError:
        theirs = "refused"
    try:
        ours: object = fed(data, step)[0]
    except BadChunks:
        ours = "refused"
    assert ours == theirs


@pytest.mark.parametrize("step", [1, 10**6])
@pytest.mark.parametrize(
    "data",
    [
        *(
            b"g\r\n",
            b"-1\r\n",
            b"\r\n0\r\n\r\n",
            b"1\nx",
            b"1 \r\nx",
            b"0x1\r\nx",
            b"1;\x00\r\n",
            b"1111111111111111\r\n",
        ),
        *(b"2\r\nxyz\r\n", b"2\r\nxy\n", b"1\r\nx\r\n\r\n", b"0\r\nA b\r\n\r\n", b"0\r\n\n"),
        *(b"1;" + b"x" * LINE_BYTES_MAX, b"0\r\n" + b"A: bcdefgh\r\n" * (TRAILER_BYTES_MAX // 12 + 1)),
    ],
)
def test_what_is_malformed_is_refused(data: bytes, step: int) -> None:
    """By the balancer too, where the node stands behind one."""
    with pytest.raises(BadChunks):
        fed(data, step)


def test_no_more_is_due_than_must_come() -> None:
    """The rest of a chunk with its end and the last chunk; any byte where a size is not known yet."""
    chunks = Chunks()
    assert chunks.due == 1
    chunks.feed(memoryview(b"ff\r\nxyz"))
    assert (chunks.left, chunks.due) == (252, 252 + LAST_BYTES)
    chunks.skip(252)
    assert chunks.due == 1
    assert chunks.feed(memoryview(b"\r\n0\r\n\r\n")) == []
    assert chunks.done


def cpu_s(work: Callable[[], object]) -> float:
    """CPU of one call: the least of some rounds."""
    found = []
    for _ in range(7):
        begun = time.thread_time()
        work()
        found.append(time.thread_time() - begun)
    return min(found)


@pytest.mark.parametrize("chunk", [b"1\r\nx\r\n", b"0000001 ;ab\r\nx\r\n"])
def test_chunks_of_one_byte_cost_what_they_cost_the_balancer(chunk: bytes) -> None:
    """No more than a few times that, as CPU in this test; whole chunks are taken without a look at each line."""
    raw = chunk * (32_768 // len(chunk))
    # The least of some, because a neighbour slows one of the two more than the other.
    ratios = (cpu_s(lambda: Chunks().feed(memoryview(raw))) / cpu_s(lambda: Chunked().feed(raw)) for _ in range(6))

    assert any(ratio < 4 for ratio in ratios)


def test_large_chunks_are_not_joined() -> None:
    """They come out as views of what was fed, and show that more may be read at once."""
    chunks = Chunks()
    pieces = chunks.feed(memoryview(b"1000\r\n%b\r\n" % bytes(4096) * 3))
    assert ([len(piece) for piece in pieces], chunks.coarse) == ([4096] * 3, True)
    pieces = chunks.feed(memoryview(b"fff\r\n%b\r\n" % bytes(4095) * 3))
    assert ([len(piece) for piece in pieces], chunks.coarse) == ([3 * 4095], False)
