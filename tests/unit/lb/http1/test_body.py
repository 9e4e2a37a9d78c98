"""lb.http1.body: where bodies end, however the bytes come."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lb.http1.body import BodyError, Chunked, Counted, Nothing, UntilClose

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # no test asserts a duration


def fed(framing: Chunked | Counted, data: bytes, size: int) -> bytes:
    """What comes out when data is fed in pieces of size, and the rest is checked to be whole."""
    out, position = b"", 0
    while position < len(data) and not framing.done:
        out += framing.feed(data[position : position + size])
        position += size
    assert framing.rest == b"" or framing.done
    return out


def test_a_counted_body_passes_uncopied() -> None:
    """A piece inside the body is handed on as the very same object; the next message is left over."""
    framing, piece = Counted(10), b"12345"

    assert framing.feed(piece) is piece
    assert not framing.done
    assert framing.feed(b"67890GET") == b"67890"
    assert (framing.done, framing.rest) == (True, b"GET")


def test_no_body_and_endless_body() -> None:
    """Nothing leaves everything over, UntilClose takes everything."""
    nothing, endless = Nothing(), UntilClose()

    assert (nothing.feed(b"x"), nothing.rest, nothing.done) == (b"", b"x", True)
    assert (endless.feed(b"x"), endless.done) == (b"x", False)
    assert Counted(0).done


@UNHURRIED
@given(
    chunks=st.lists(st.binary(min_size=1, max_size=40), max_size=6),
    size=st.integers(1, 60),
    extension=st.sampled_from([b"", b";a=b", b" ; x"]),
    trailer=st.sampled_from([b"", b"A: b\r\nC: d\r\n"]),
)
def test_chunks_are_framed_anew_in_whatever_pieces_they_come(
    chunks: list[bytes], size: int, extension: bytes, trailer: bytes
) -> None:
    """The payload survives, extensions and trailers do not, and what follows is left over."""
    raw = (
        b"".join(b"%X%b\r\n%b\r\n" % (len(chunk), extension, chunk) for chunk in chunks) + b"0\r\n" + trailer + b"\r\n"
    )
    bare, framed, again = Chunked(reframe=False), Chunked(), Chunked(reframe=False)

    assert fed(bare, raw, size) == b"".join(chunks)
    assert fed(again, fed(framed, raw, size), 7) == b"".join(chunks)
    assert bare.done
    assert framed.done
    assert again.done
    whole = Chunked()
    assert b";" not in whole.feed(raw + b"NEXT").replace(b"".join(chunks), b"") or any(
        b";" in chunk for chunk in chunks
    )
    assert whole.rest == b"NEXT"


@pytest.mark.parametrize(
    "raw",
    [
        b"x\r\n",
        b"\r\n",
        b" 5\r\nhello\r\n",
        b"+5\r\nhello\r\n",
        b"0x5\r\nhello\r\n",
        b"5\nhello\r\n",
        b"5 \r\nhello\r\n",
        b"5;\na\r\nhello\r\n",
        b"5;a\0\r\nhello\r\n",
        b"5\r\nhelloo\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhello\rX",
        b"fffffffffffffffff\r\n",
        b"5;" + b"a" * 300,
        b"0\r\nbad trailer\r\n\r\n",
        b"0\r\nA: b\n\r\n",
        b"0\r\n" + b"A: b\r\n" * 2000 + b"\r\n",
    ],
)
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_chunks_that_break_their_framing_are_refused(raw: bytes, size: int) -> None:
    """Signs, spaces, prefixes, bare LFs, long lines, overflows: all refused, at once or byte by byte."""
    with pytest.raises(BodyError):
        fed(Chunked(), raw, size)
