"""A trace as columns is the trace as rows."""

import gzip
import random
from pathlib import Path

import numpy as np
import pytest

from bench.traces import columns, lines, trace
from bench.traces.synthesis import Shape, synthesize
from bench.traces.synthesis import columns as drawn
from bench.traces.trace import Header, Row, Trace, TraceError

HEADER = Header(kind="synthetic", window_s=20, seed=3, note="by hand")
BUNDLED = Path(__file__).resolve().parents[4] / "bench" / "traces" / "demo-2000.jsonl.gz"


def test_a_file_is_the_same_as_rows_and_as_columns(tmp_path: Path) -> None:
    """Read and written by either; users of different lengths among them."""
    rows = (Row(1, "a", 2, 3, 4), Row(9, "b" * 64, 5, 6, 7, 2, 503), Row(9, "~!", 10**9, 1, 1))
    trace.write(tmp_path / "rows.gz", Trace(HEADER, rows))
    header, found = columns.read(tmp_path / "rows.gz")
    columns.write(tmp_path / "columns.gz", header, found)

    assert [row for block in found.blocks() for row in block] == list(rows)
    assert (tmp_path / "columns.gz").read_bytes() == (tmp_path / "rows.gz").read_bytes()
    assert found.f.tolist() == [2, 5, 10**9]


def test_breaks_are_the_same_as_rows_and_as_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows with none, some and many, with pauses and without, in blocks with and without any: version 2."""
    many = Row(9, "d", 9, 9, 7, d=(0, 3, 17), p=(0, 5000, 30_000))
    rows = (Row(1, "a", 2, 3, 4), Row(2, "b", 5, 6, 7, d=(10,)), many, *(Row(9, f"e{n}", 2, 3, 4) for n in range(50)))
    trace.write(tmp_path / "rows.gz", Trace(HEADER, rows))
    monkeypatch.setattr(lines, "BLOCK_BYTES", 64)
    header, found = columns.read(tmp_path / "rows.gz")
    columns.write(tmp_path / "columns.gz", header, found)

    assert (header.snapsurge_trace, found.d.shape, found.p.shape) == (2, (53, 3), (53, 3))
    assert [row for block in found.blocks() for row in block] == list(rows)
    assert (tmp_path / "columns.gz").read_bytes() == (tmp_path / "rows.gz").read_bytes()


def test_a_trace_without_breaks_stays_version_1(tmp_path: Path) -> None:
    """Also when the breaks that it had were left out; its tables of breaks take no memory."""
    trace.write(tmp_path / "rows.gz", Trace(HEADER, (Row(1, "a", 2, 3, 4), Row(2, "b", 5, 6, 7, d=(10,)))))
    header, found = columns.read(tmp_path / "rows.gz")
    columns.write(tmp_path / "columns.gz", header, found.where(slice(0, 1)))
    header, found = columns.read(tmp_path / "columns.gz")

    assert (header.snapsurge_trace, found.d.nbytes, found.p.nbytes) == (1, 0, 0)


def test_many_rows_are_the_same_in_blocks(tmp_path: Path) -> None:
    """More than one block of rows, and more than are packed tightly."""
    made = drawn(Shape(posters=120_000), random.Random(1))
    columns.write(tmp_path / "t.gz", HEADER, made)
    _, found = columns.read(tmp_path / "t.gz")

    for name in made.__struct_fields__:
        assert np.array_equal(getattr(made, name), getattr(found, name)), name


def test_first_attempts_are_those_of_the_rows() -> None:
    """The bundled trace has no others; what is chosen keeps its order."""
    _, found = columns.read(BUNDLED)
    assert found.first_attempts() is found
    retried = found.where(np.arange(4))
    retried.n[1:3] = 2
    assert retried.first_attempts().t.tolist() == found.t[[0, 3]].tolist()


def test_a_shape_gives_the_columns_of_its_rows() -> None:
    """Straight from the parameters, without a file."""
    shape = Shape(posters=500)
    assert tuple(row for block in drawn(shape, random.Random(4)).blocks() for row in block) == synthesize(
        shape, random.Random(4)
    )


@pytest.mark.parametrize("reader", [trace.read, columns.read])
def test_two_moments_mixed_are_refused(tmp_path: Path, reader: object) -> None:
    """One user's first attempt twice; a first and a second attempt are one burst."""
    path, one = tmp_path / "t.gz", b'{"t":5,"u":"a","f":1,"b":1,"up":1,"n":%d}\n'
    head = b'{"snapsurge_trace":1,"kind":"recorded","window_s":20}\n'
    later = b'{"t":300000005,"u":"a","f":2,"b":1,"up":1}\n'
    path.write_bytes(gzip.compress(head + one % 1 + one % 2))
    assert callable(reader)
    reader(path)
    path.write_bytes(gzip.compress(head + one % 1 + one % 2 + later))
    with pytest.raises(
        TraceError, match=r"t\.gz: rows 1 and 3: attempt 1 of user a twice, 300\.0 s apart: two moments"
    ):
        reader(path)


def test_what_is_wrong_names_the_file(tmp_path: Path) -> None:
    """A missing file, and one that is none."""
    with pytest.raises(TraceError, match=r"none\.gz: No such file"):
        columns.read(tmp_path / "none.gz")
    (tmp_path / "t.gz").write_bytes(b"plain")
    with pytest.raises(TraceError, match=r"t\.gz: not a gzip file"):
        columns.read(tmp_path / "t.gz")
