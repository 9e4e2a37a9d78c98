"""lb.http1.body: where bodies end, however the bytes come."""

import random
import re
import sys
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lb.http1.body import (
    LARGE_BYTES_MIN,
    LINE_BYTES_MAX,
    BodyError,
    Chunked,
    Counted,
    Nothing,
    Piece,
    UntilClose,
)

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # no test asserts a duration


def flat(out: Piece | list[Piece]) -> bytes:
    """What was fed out, in one piece."""
    return b"".join(out) if isinstance(out, list) else bytes(out)


def fed(framing: Chunked | Counted, data: bytes, size: int) -> bytes:
    """What comes out when data is fed in pieces of size, and the rest is checked to be whole."""
    out, position = b"", 0
    while position < len(data) and not framing.done:
        out += flat(framing.feed(data[position : position + size]))
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
    assert b";" not in flat(whole.feed(raw + b"NEXT")).replace(b"".join(chunks), b"") or any(
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


def chunk(size: int, line: bytes = b"") -> bytes:
    """A chunk of so many bytes, its payload full of what looks like framing."""
    return (line or b"%x" % size) + b"\r\n" + (b"\r\n400\r\n0\r\n\r\n" * (size // 12 + 1))[:size] + b"\r\n"


def test_large_chunks_pass_as_they_came() -> None:
    """The very same view, with the end of the body too; and the rest of a chunk that began before."""
    first = memoryview(chunk(32768) * 4 + chunk(LARGE_BYTES_MIN) + chunk(8192)[:100])
    last = memoryview(chunk(8192)[100:] + chunk(0xFFFF, b"FFFF") + b"0\r\n\r\n")
    framing = Chunked()

    assert framing.feed(first) is first
    assert framing.left == 8192 + 2 - 100 + 6 + 5
    assert framing.feed(last) is last
    assert framing.done


@pytest.mark.parametrize(
    "raw",
    [
        chunk(LARGE_BYTES_MIN - 1) * 2,
        chunk(5000, b"01388"),
        chunk(5000, b"1388;a=b"),
        chunk(5000, b"1388 ;a"),
        b"0\r\nX: y\r\n\r\n",
        b"00\r\n\r\n",
    ],
)
def test_other_lines_are_written_anew(raw: bytes) -> None:
    """Small chunks, leading zeros, extensions, trailers: between large chunks, which pass before and after."""
    before, after = chunk(4097), chunk(2048)
    out = Chunked().feed(before + raw + after)  # behind the end `after` is left over

    assert isinstance(out, list)
    assert out[0] == before
    assert raw not in flat(out)


def test_a_size_of_256_mib_passes_anew() -> None:
    """A plain line has seven digits at most."""
    assert Chunked().feed(b"fffffff\r\n") == b"fffffff\r\n"
    assert Chunked().feed(b"010000000\r\n") == b"10000000\r\n"


PLAIN = re.compile(rb"0|[1-9A-Fa-f][0-9A-Fa-f]*")
SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")


def plainly(raw: bytes, lines: re.Pattern[bytes] = PLAIN) -> bytes | None:
    """The payload of chunks with such lines, by the shortest reader there is; None when they are anything else."""
    payload = b""
    while True:
        line, found, raw = raw.partition(b"\r\n")
        if not found or not lines.fullmatch(line):
            return None
        size = int(line, 16)
        if not size:
            return payload if raw.startswith(b"\r\n") else None
        payload, raw, end = payload + raw[:size], raw[size + 2 :], raw[size : size + 2]
        if end != b"\r\n":
            return None


@pytest.mark.parametrize("seed", range(150))
def test_any_mix_of_chunks_comes_out_plain_and_without_delay(seed: int) -> None:
    """Sizes around the limit, in runs, with odd lines between, cut anywhere: of each read no payload is kept back."""
    rng = random.Random(seed)
    sizes = [size for _ in range(8) for size in [rng.choice([1, 9, 1023, 1024, 1025, 4088, 9000])] * rng.randint(1, 6)]
    lines = [rng.choice([b"%x", b"%X", b"%x", b"%x", b"0%x", b"%x;a=b"]) % size for size in sizes]
    raw = b"".join(map(chunk, sizes, lines)) + rng.choice([b"0\r\n\r\n", b"000;x\r\n\r\n", b"0\r\nA: b\r\n\r\n"])
    cuts = sorted({0, len(raw), *(rng.randrange(len(raw)) for _ in range(rng.choice([0, 3, 40])))})
    framing, bare, out, payload = Chunked(), Chunked(reframe=False), b"", b""
    for start, end in pairwise(cuts):
        out += flat(framing.feed(memoryview(raw)[start:end]))
        payload += flat(bare.feed(raw[start:end]))
        lines_bytes = sum(len(line) + 4 for line in lines)
        assert len(out) >= end - lines_bytes - LINE_BYTES_MAX

    assert framing.done
    assert bare.done
    assert plainly(out) == payload == b"".join(chunk(size)[len(b"%x" % size) + 2 : -2] for size in sizes)


@pytest.mark.parametrize("seed", range(150))
def test_one_wrong_byte_between_chunks_is_found(seed: int) -> None:
    """In runs of one size, too, where lines are compared and not parsed; of a broken body the end never comes out."""
    rng = random.Random(seed)
    sizes = [rng.choice([1024, 1024, 4096, 700])] * 20
    raw = bytearray(b"".join(map(chunk, sizes)) + b"0\r\n\r\n")
    number = rng.randrange(20)
    line = b"%x\r\n" % sizes[0]
    at = number * len(chunk(sizes[0])) + rng.choice([*range(len(line)), -1, -2][(2 if not number else 0) :])
    raw[at % len(raw)] ^= rng.choice([1, 2, 4, 8, 16, 64, 128])
    expected = plainly(bytes(raw), SIZE)
    framing, out = Chunked(), b""
    try:
        for start in range(0, len(raw), 30000):
            out += flat(framing.feed(memoryview(raw)[start : start + 30000]))
    except BodyError:
        assert expected is None
    assert framing.done == (expected is not None)
    assert plainly(out) == expected


def calls(raw: bytes) -> int:
    """The function calls, of Python and of C, that it takes to feed these bytes."""
    found = 0

    def count(_: object, event: str, __: object) -> None:
        nonlocal found
        found += event in {"call", "c_call"}

    framing, data = Chunked(), memoryview(raw)
    sys.setprofile(count)
    try:
        framing.feed(data)
    finally:
        sys.setprofile(None)
    return found


@pytest.mark.parametrize("size", [1024, 4088, 8192, 32768, 65536])
def test_chunks_of_one_size_make_no_calls_of_their_own(size: int) -> None:
    """As nearly all senders write them: a hundred chunks cost as many calls as three."""
    assert calls(chunk(size) * 100) == calls(chunk(size) * 3) <= 25


def test_chunks_of_changing_sizes_make_five_calls_each() -> None:
    """A line is matched once."""
    raw = [chunk(9000 + number) for number in range(101)]

    assert calls(b"".join(raw)) - calls(raw[0]) <= 500
