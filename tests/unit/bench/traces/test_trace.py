"""The trace file: round trips, same bytes, and errors that name the row."""

import gzip
from pathlib import Path

import pytest

from bench.traces import trace
from bench.traces.trace import Header, Row, Trace, TraceError

HEADER = '{"snapsurge_trace":1,"kind":"synthetic","window_s":20}'
ROW = '{"t":5,"u":"a","f":1,"b":1,"up":1,"n":1,"s":0}'
HEAD = Header(kind="synthetic", window_s=20, seed=3, note="by hand")
SAMPLE = Trace(HEAD, (Row(1, "a", 2, 3, 4), Row(9, "b", 5, 6, 7)))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """A trace survives its file."""
    trace.write(tmp_path / "t.gz", SAMPLE)

    assert trace.read(tmp_path / "t.gz") == SAMPLE
    assert SAMPLE.span_s == 9e-6


def test_the_bytes_carry_no_time_and_no_name() -> None:
    """Equal traces give equal files: RFC 1952 MTIME 0, no FNAME."""
    data = trace.encode(SAMPLE)

    assert data == trace.encode(SAMPLE)
    assert data[3:8] == b"\0\0\0\0\0"


def test_the_lines_are_those_of_the_contract() -> None:
    """Field names and order as in the design."""
    lines = gzip.decompress(trace.encode(SAMPLE)).decode().splitlines()

    assert lines[0] == '{"snapsurge_trace":1,"kind":"synthetic","window_s":20,"seed":3,"note":"by hand"}'
    assert lines[1] == '{"t":1,"u":"a","f":2,"b":3,"up":4,"n":1,"s":0}'


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([], "line 1 is no trace header"),
        (["{}"], "line 1 is no trace header"),
        ([HEADER.replace(":1,", ":3,")], "line 1 is no trace header"),
        ([HEADER.replace("synthetic", "invented")], "line 1 is no trace header"),
        ([HEADER, ROW, ROW.replace(":5", ":4")], "row 2: not sorted, t=4 after t=5"),
        ([HEADER, ROW.replace(":5", ":-5")], "row 1: Expected `int` >= 0"),
        ([HEADER, ROW, ROW, ROW.replace('"f":1', '"f":0')], "row 3: Expected `int` >= 1"),
        ([HEADER, ROW, "not json"], "row 2: "),
        ([HEADER, ROW.replace('"u":"a",', "")], "row 1: Object missing required field `u`"),
    ],
)
def test_what_is_wrong_is_named(lines: list[str], complaint: str) -> None:
    """Header or row, with its number."""
    with pytest.raises(TraceError, match=complaint.replace("(", r"\(")):
        trace.decode(gzip.compress("\n".join(lines).encode()))


@pytest.mark.parametrize("data", [b"plain text", gzip.compress(b"x" * 1000, mtime=0)[:20]])
def test_what_is_no_gzip_is_said_to_be_none(data: bytes, tmp_path: Path) -> None:
    """Plain or cut off; the file is named."""
    (tmp_path / "t.gz").write_bytes(data)

    with pytest.raises(TraceError, match=r"t\.gz: not a gzip file"):
        trace.read(tmp_path / "t.gz")


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    """One line, no traceback."""
    with pytest.raises(TraceError, match="No such file"):
        trace.read(tmp_path / "none.gz")


def test_what_is_written_is_whole_or_not_there(tmp_path: Path) -> None:
    """An error leaves the old file and nothing beside it."""
    trace.write(tmp_path / "t.gz", SAMPLE)
    old = (tmp_path / "t.gz").read_bytes()
    with pytest.raises(TraceError, match="shorter note"):
        trace.write(tmp_path / "t.gz", Trace(Header(kind="recorded", window_s=1, note="n" * 70_000), SAMPLE.rows))

    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("t.gz", old)]
