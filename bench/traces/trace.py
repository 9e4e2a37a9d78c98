"""A trace as objects: a header and a tuple of rows. A burst of millions of arrivals is better read as columns.

This module does not know where rows come from or how they are sent; `lines.py` knows the file.
"""

import io
from pathlib import Path
from typing import BinaryIO

import msgspec

from ..files import replacing
from . import lines
from .lines import Header, Row, TraceError

__all__ = ["Header", "Row", "Trace", "TraceError", "decode", "encode", "read", "text_of", "write"]


class Trace(msgspec.Struct, frozen=True):
    """A whole burst; `rows` sorted by `t`."""

    header: Header
    rows: tuple[Row, ...]

    @property
    def broken(self) -> int:
        """Rows with a break."""
        return sum(bool(row.d) for row in self.rows)

    @property
    def written(self) -> Header:
        """The header with the version of the format that the rows need."""
        return lines.versioned(self.header, breaks=bool(self.broken))

    @property
    def span_s(self) -> float:
        """Seconds from the moment to the last arrival."""
        return self.rows[-1].t / 1e6 if self.rows else 0.0


def encode(trace: Trace) -> bytes:
    """A trace as the bytes of its file."""
    buffer = io.BytesIO()
    lines.write(buffer, trace.written, [trace.rows], len(trace.rows))
    return buffer.getvalue()


def decode(data: bytes) -> Trace:
    """The trace in a file's bytes; TraceError when it is not a valid one."""
    return _read(io.BytesIO(data))


def text_of(data: bytes) -> bytes:
    """The JSON Lines inside a trace file; TraceError when it is no gzip file or too large."""
    return b"".join(lines.text(io.BytesIO(data)))


def read(path: Path) -> Trace:
    """The trace in a file; TraceError names the file."""
    try:
        with path.open("rb") as file:
            return _read(file)
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror}") from error
    except TraceError as error:
        raise TraceError(f"{path}: {error}") from error


def _read(file: BinaryIO) -> Trace:
    header, blocks = lines.read(file)
    rows: list[Row] = []
    attempts = lines.Attempts()
    for block in blocks:
        rows += block
        attempts.add(block)
    # Equal hashes are only a suspicion: `mixed` compares the rows.
    for one, two in attempts.doubled():
        if error := lines.mixed((one, rows[one]), (two, rows[two])):
            raise error
    return Trace(header, tuple(rows))


def write(path: Path, trace: Trace) -> None:
    """Put the trace into a file, replacing what was there when it is complete."""
    with replacing(path) as file:
        lines.write(file, trace.written, [trace.rows], len(trace.rows))
