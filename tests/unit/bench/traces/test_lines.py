"""The lines of a trace: whatever is wrong is one clear error, early and in bounded memory."""

import contextlib
import gzip
import io
import re
import tracemalloc
import zlib

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from bench.traces import lines
from bench.traces.lines import (
    BREAKS_MAX,
    BYTES_MAX,
    LINE_BYTES_MAX,
    MICROSECONDS_MAX,
    PAUSE_MS_MAX,
    Header,
    Row,
    TraceError,
)

HEADER = b'{"snapsurge_trace":1,"kind":"synthetic","window_s":20}\n'
ROW = b'{"t":5,"u":"a%d","f":1,"b":1,"up":1}\n'


def read(packed: bytes) -> tuple[Header, list[Row]]:
    """The header and all rows."""
    header, blocks = lines.read(io.BytesIO(packed))
    return header, [row for block in blocks for row in block]


def refused(text: bytes) -> str:
    """What is said of a file with this text."""
    with pytest.raises(TraceError) as caught:
        read(gzip.compress(text, 1))
    return str(caught.value)


def broken(row: Row, offsets: set[int], pauses: list[int]) -> Row:
    """The row with those of the offsets that end it, and a pause for each where there are enough."""
    d = tuple(sorted(offset for offset in offsets if offset < row.f + row.b)[:BREAKS_MAX])
    return msgspec.structs.replace(row, d=d or UNSET, p=tuple(pauses[: len(d)]) if 0 < len(d) <= len(pauses) else UNSET)


offsets = st.sets(st.integers(0, 2 * BYTES_MAX - 1), max_size=20)
pauses = st.lists(st.integers(0, PAUSE_MS_MAX), max_size=20)
rows = st.lists(
    st.builds(
        Row,
        t=st.integers(0, MICROSECONDS_MAX),
        u=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=64),
        f=st.integers(1, BYTES_MAX),
        b=st.integers(1, BYTES_MAX),
        up=st.integers(1, BYTES_MAX),
        n=st.integers(1, 2**31 - 1),
        s=st.integers(0, 599),
    )
).map(lambda found: sorted(found, key=lambda row: row.t))


@settings(deadline=None)
@given(rows, st.text(max_size=50), st.none() | st.integers(-(2**63), 2**63 - 1), offsets, pauses)
def test_whatever_is_written_is_read(found: list[Row], note: str, seed: int | None, d: set[int], p: list[int]) -> None:
    """Any valid rows, with breaks or without, in blocks of any size."""
    found = [broken(row, d, p) if row.t % 2 else row for row in found]
    header, buffer = Header(kind="recorded", window_s=120, seed=seed, note=note), io.BytesIO()
    header = lines.versioned(header, breaks=any(row.d for row in found))
    lines.write(buffer, header, [found[:1], found[1:]], len(found))

    assert read(buffer.getvalue()) == (header, found)


@settings(deadline=None)
@given(st.binary(max_size=200), st.integers(0, 120))
def test_noise_is_an_error_or_a_trace_and_nothing_else(noise: bytes, at: int) -> None:
    """Bytes put into a good file, packed and unpacked."""
    text = HEADER + ROW % 1 + ROW % 2
    for packed in (gzip.compress(text[:at] + noise + text[at:], 1), gzip.compress(text, 1)[:at] + noise):
        with contextlib.suppress(TraceError):
            read(packed)


def test_rows_are_the_same_in_one_block_or_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when a block ends within a line, and the last line has no end; errors keep their numbers."""
    text = HEADER + b"".join(ROW % number for number in range(100))
    whole = read(gzip.compress(text, 1))
    for size in (1, 7, 64, 1000):
        monkeypatch.setattr(lines, "BLOCK_BYTES", size)
        assert read(gzip.compress(text[:-1], 1)) == whole
        assert refused(text + b'{"t":4,"u":"z","f":1,"b":1,"up":1}\n').startswith("row 101: not sorted, t=4 after t=5")
        assert refused(text + b'{"t":5,"u":"z","f":-1,"b":1,"up":1}\n').startswith("row 101: Expected `int` >= 1")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("t", -1), ("t", MICROSECONDS_MAX + 1), ("f", 0), ("b", -3), ("f", BYTES_MAX + 1), ("up", BYTES_MAX + 1)),
        *(("n", 0), ("n", 2**31), ("s", 600), ("s", -1), ("u", ""), ("u", "x" * 65), ("u", "é"), ("u", "a\0")),
    ],
)
def test_a_value_outside_its_limits_is_refused(field: str, value: object) -> None:
    """One beyond each limit; the values at the limits are read by the test of round trips."""
    row = {"t": 5, "u": "a", "f": 1, "b": 1, "up": 1} | {field: value}
    assert refused(HEADER + msgspec.json.encode(row)).startswith("row 1: ")


@pytest.mark.parametrize(
    ("breaks", "complaint"),
    [
        ('"d":[]', "Expected `array` of length >= 1"),
        ('"d":[-1]', "Expected `int` >= 0"),
        ('"d":[2]', "row 2: a break at 2 of 2 bytes"),
        ('"d":[0,0]', r"row 2: the offsets of breaks do not ascend: \[0, 0\]"),
        ('"d":[1,0]', "do not ascend"),
        ('"d":[0,1],"p":[5]', r"2 breaks \(d\) and 1 pauses \(p\)"),
        ('"p":[5]', r"0 breaks \(d\) and 1 pauses"),
        ('"d":[0],"p":[-1]', "Expected `int` >= 0"),
        (f'"d":[0],"p":[{PAUSE_MS_MAX + 1}]', f"Expected `int` <= {PAUSE_MS_MAX}"),
        (f'"d":{[0] * (BREAKS_MAX + 1)}', f"Expected `array` of length <= {BREAKS_MAX}"),
    ],
)
def test_breaks_that_cannot_be_are_refused(breaks: str, complaint: str) -> None:
    """Not in order, below 0, past the size, without a pause for each, too many; in version 1, any."""
    row = '{"t":5,"u":"z","f":1,"b":1,"up":1,%s}\n'
    text = HEADER.replace(b":1,", b":2,", 1) + ROW % 1
    good = row % '"d":[0,1],"p":[0,5]'

    assert read(gzip.compress(text + good.encode()))[1][1].breaks == ((0, 0), (1, 5))
    assert re.search(complaint, refused(text + (row % breaks).encode()))
    assert "row 2: breaks (d, p) in version 1 of the format" in refused(HEADER + ROW % 1 + good.encode())


def test_another_version_is_named_with_ours() -> None:
    """Not as a header that is malformed."""
    said = "version 3 of the format, and this program reads versions 1 and 2"
    assert said in refused(HEADER.replace(b":1,", b":3,", 1))
    assert "window_s 0" in refused(HEADER.replace(b":20", b":0"))


def test_two_traces_joined_are_seen() -> None:
    """As `cat a.gz b.gz` joins them."""
    packed = gzip.compress(HEADER + ROW % 1) * 2
    with pytest.raises(TraceError, match="row 2 is a second header: two traces are joined"):
        read(packed)


@pytest.mark.parametrize("lost", [1, 4, 9, 40])
def test_a_file_that_was_cut_off_says_so(lost: int) -> None:
    """In its data or in its last checksum."""
    packed = gzip.compress(HEADER + b"".join(ROW % number for number in range(500)))
    with pytest.raises(TraceError, match="not a gzip file to its end: cut off"):
        read(packed[:-lost])


def test_a_damaged_file_says_so() -> None:
    """A flipped bit in the checksum, and one in the data."""
    packed = bytearray(gzip.compress(HEADER + ROW % 1))
    packed[-6] ^= 1
    with pytest.raises(TraceError, match="CRC check failed"):
        read(bytes(packed))
    with pytest.raises(TraceError, match="gzip"):
        read(bytes(packed[:10]) + b"\xff" * 40)


def bomb(line: bytes, times: int) -> bytes:
    """A gzip file of a header and then one line over and over, packed without holding it."""
    packer = zlib.compressobj(9, wbits=31)
    parts = [packer.compress(HEADER)]
    block = line * 10_000
    parts += [packer.compress(block) for _ in range(times // 10_000)]
    return b"".join([*parts, packer.flush()])


@pytest.mark.parametrize("line", [ROW % 1, b"x" * 36], ids=["rows", "no line end"])
def test_a_gzip_bomb_is_refused_early_and_in_bounded_memory(line: bytes) -> None:
    """Of 180 MB of equal rows, or of one line, no more than the first part is read and held."""
    packed = bomb(line, 5_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(TraceError, match=r"no burst packs so well|a line of more than"):
            for _ in lines.read(io.BytesIO(packed))[1]:
                pass
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert len(packed) < 1_000_000
    assert most < 100 * 1024**2


def test_small_files_may_pack_as_well_as_they_like() -> None:
    """The ratio counts only from 16 MiB of text on."""
    assert len(read(bomb(ROW % 1, 10_000))[1]) == 10_000


def test_more_rows_than_any_region_has_users_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is read, one row more is not."""
    monkeypatch.setattr(lines, "ROWS_MAX", 3)
    text = HEADER + b"".join(ROW % number for number in range(3))

    assert len(read(gzip.compress(text))[1]) == 3
    assert "more than 3 rows" in refused(text + ROW % 9)


def test_a_header_that_could_not_be_read_is_not_written() -> None:
    """Its note is too long; one that just fits is read."""
    fits = LINE_BYTES_MAX - len(msgspec.json.encode(Header(kind="recorded", window_s=1))) - 1
    for extra in (0, 1):
        buffer, header = io.BytesIO(), Header(kind="recorded", window_s=1, note="n" * (fits + extra))
        if extra:
            with pytest.raises(TraceError, match="shorter note"):
                lines.write(buffer, header, [], 0)
        else:
            lines.write(buffer, header, [], 0)
            assert read(buffer.getvalue())[0] == header


def test_attempts_are_doubled_only_with_the_same_user_and_number() -> None:
    """The indices of each such pair, across blocks."""
    attempts = lines.Attempts()
    attempts.add([Row(1, "a", 1, 1, 1, 1), Row(2, "b", 1, 1, 1, 1), Row(3, "a", 1, 1, 1, 2)])
    assert attempts.doubled() == []
    attempts.add([Row(9, "a", 1, 1, 1, 1)])
    assert attempts.doubled() == [(0, 3)]


@pytest.mark.parametrize("at", [0, 1, 2])
@pytest.mark.parametrize("line", [b"\n", b" \r\n"])
def test_an_empty_line_is_refused_wherever_it_is(at: int, line: bytes) -> None:
    """First, between rows, last; also where rows are written as others write them."""
    for row in (ROW, ROW.replace(b":", b" : ")):
        rows = [row % 1, row % 2]
        assert refused(HEADER + b"".join([*rows[:at], line, *rows[at:]])) == f"row {at + 1}: an empty line"


def test_a_key_that_is_there_twice_is_refused() -> None:
    """In the header and in a row: readers differ in which one counts."""
    twice = ROW.replace(b'"b":1', b'"b":1, "f" : 9') % 2
    assert refused(HEADER + ROW % 1 + twice) == "row 2: the key `f` is there twice"
    assert "the key `window_s` is there twice" in refused(HEADER.replace(b"}", b',"window_s":30}') + ROW % 1)
    assert len(read(gzip.compress(HEADER + ROW.replace(b",", b" , ") % 1 + ROW % 2))[1]) == 2


@pytest.mark.parametrize(("window_s", "good"), [(86_400, True), (86_401, False), (10**18, False)])
def test_a_window_is_a_day_at_most(window_s: int, *, good: bool) -> None:
    """Longer than a moment accepts posts is no window."""
    text = HEADER.replace(b":20", b":%d" % window_s)
    if good:
        assert read(gzip.compress(text))[0].window_s == window_s
    else:
        assert f"window_s {window_s}: 1 to 86400 seconds" in refused(text)
