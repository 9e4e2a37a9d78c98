"""The trace file: a recorded or synthetic burst as gzip JSON Lines, a header and then one row per arrival, sorted.

Reading checks everything that a replay relies on and names the first wrong row. Writing is deterministic: the same
trace gives the same bytes. This module does not know where rows come from or how they are sent.
"""

import gzip
import io
import zlib
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from ..errors import BenchError

FORMAT: Final = 1
TEXT_BYTES_MAX: Final = 2 * 1024**3  # 20 M rows of about 90 bytes; a gzip bomb stops here
COMPRESS_LEVEL: Final = 9

Count = Annotated[int, Meta(ge=0)]


class TraceError(BenchError):
    """The file is not a valid trace; the text says what is wrong and in which row."""


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Line 1. `seed` is null for a recording; `note` says how the trace was made."""

    snapsurge_trace: Literal[1] = FORMAT
    kind: Literal["recorded", "synthetic"]
    window_s: Annotated[int, Meta(gt=0)]
    seed: int | None = None
    note: str = ""


class Row(msgspec.Struct, frozen=True):
    """One arrival.

    µs after the moment, user hash, bytes of the front and the back photo, uplink bytes/s, attempt, status (0: none).
    """

    t: Count
    u: Annotated[str, Meta(min_length=1, max_length=64)]
    f: Annotated[int, Meta(gt=0)]
    b: Annotated[int, Meta(gt=0)]
    up: Annotated[int, Meta(gt=0)]
    n: Annotated[int, Meta(ge=1)] = 1
    s: Annotated[int, Meta(ge=0, le=599)] = 0


class Trace(msgspec.Struct, frozen=True):
    """A whole burst; `rows` sorted by `t`."""

    header: Header
    rows: tuple[Row, ...]

    @property
    def span_s(self) -> float:
        """Seconds from the moment to the last arrival."""
        return self.rows[-1].t / 1e6 if self.rows else 0.0


def encode(trace: Trace) -> bytes:
    """The file's bytes. The gzip header has no name and no time, so that equal traces give equal files."""
    encoder = msgspec.json.Encoder()
    text = b"".join(encoder.encode(line) + b"\n" for line in (trace.header, *trace.rows))
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=COMPRESS_LEVEL, fileobj=buffer, mtime=0) as file:
        file.write(text)
    return buffer.getvalue()


def decode(data: bytes) -> Trace:
    """The trace in a file's bytes; TraceError when a header or row is malformed or the rows are not sorted."""
    head, *lines = text_of(data).splitlines() or [b""]
    try:
        header = msgspec.json.decode(head, type=Header)
    except msgspec.MsgspecError as error:
        raise TraceError(f"line 1 is no trace header: {error}") from error
    decoder = msgspec.json.Decoder(Row)
    rows: list[Row] = []
    for number, line in enumerate(lines, start=1):
        try:
            row = decoder.decode(line)
        except msgspec.MsgspecError as error:
            raise TraceError(f"row {number}: {error}") from error
        if rows and row.t < rows[-1].t:
            raise TraceError(f"row {number}: not sorted, t={row.t} after t={rows[-1].t}")
        rows.append(row)
    return Trace(header, tuple(rows))


def text_of(data: bytes) -> bytes:
    """The JSON Lines inside a trace file; TraceError when it is no gzip file or too large."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            text = file.read(TEXT_BYTES_MAX + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise TraceError(f"not a gzip file: {error}") from error
    if len(text) > TEXT_BYTES_MAX:
        raise TraceError(f"more than {TEXT_BYTES_MAX} bytes of text")
    return text


def read(path: Path) -> Trace:
    """The trace in a file; TraceError names the file."""
    try:
        return decode(path.read_bytes())
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror}") from error
    except TraceError as error:
        raise TraceError(f"{path}: {error}") from error


def write(path: Path, trace: Trace) -> None:
    """Put the trace into a file, replacing what was there."""
    path.write_bytes(encode(trace))
