"""The lines of a trace file: a header and one row per arrival, sorted, as gzip JSON Lines; read and written in blocks.

Reading checks everything that a replay relies on and names the first wrong row.
"""

import gzip
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Annotated, BinaryIO, Final, Literal, cast

import msgspec
import numpy as np
from msgspec import UNSET, Meta, UnsetType

from ..errors import BenchError
from ..files import no_key_twice

FORMAT: Final = 1
# Version 2 adds breaks of a connection: `d`, the offsets in the body of the upload (front photo, back photo; not below
# 0, ascending, below `f` + `b`) at which the n-th connection of the upload ends, and `p`, as many pauses in ms (up to
# `PAUSE_MS_MAX`): how long the phone has no network after each. Without `p` there is no pause.
FORMAT_WITH_BREAKS: Final = 2
ROWS_MAX: Final = 20_000_000  # the largest region has 20 M users
LINE_BYTES_MAX: Final = 65_536  # a row has about 90 bytes, a header at most a long note
BLOCK_BYTES: Final = 4 * 1024**2  # of text: 50,000 rows
# Rows of real users pack 3 to 20 times; equal rows 200 to 1,000 times. A smaller file is no danger, whatever it packs.
RATIO_MAX: Final = 100
RATIO_FROM_BYTES: Final = 16 * 1024**2
TIGHT_ROWS_MAX: Final = 100_000  # Level 9 takes 8 times as long as level 1 and saves 15 %: for files in a repository.

USER_CHARACTERS_MAX: Final = 64
MICROSECONDS_MAX: Final = 2 * 86_400 * 10**6  # A moment accepts posts for 24 h.
WINDOW_S_MAX: Final = 86_400  # longer than a moment accepts posts
BYTES_MAX: Final = 10**9  # Bytes of a photo and bytes/s of an uplink; two photos fit 32 bits.
BREAKS_MAX: Final = 16  # of one upload: more than a client tries, and columns have a place for each
PAUSE_MS_MAX: Final = 600_000  # ten minutes, as long as a ticket is good

Bytes = Annotated[int, Meta(gt=0, le=BYTES_MAX)]
Offset = Annotated[int, Meta(ge=0, lt=2 * BYTES_MAX)]
Pause = Annotated[int, Meta(ge=0, le=PAUSE_MS_MAX)]


class TraceError(BenchError):
    """The file is not a valid trace; the text says what is wrong and in which row."""


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Line 1. `seed` is null for a recording; `note` says how the trace was made."""

    snapsurge_trace: Literal[1, 2] = FORMAT
    kind: Literal["recorded", "synthetic"]
    window_s: int
    seed: int | None = None
    note: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.window_s <= WINDOW_S_MAX:
            raise ValueError(f"window_s {self.window_s}: 1 to {WINDOW_S_MAX} seconds")


class Row(msgspec.Struct, frozen=True, gc=False):
    """One arrival.

    µs after the moment, user hash (printable ASCII), bytes of the front and the back photo, uplink bytes/s, attempt,
    status (0: none); offsets at which connections end, and the pauses after that in ms.
    """

    t: Annotated[int, Meta(ge=0, le=MICROSECONDS_MAX)]
    u: Annotated[str, Meta(min_length=1, max_length=USER_CHARACTERS_MAX)]
    f: Bytes
    b: Bytes
    up: Bytes
    n: Annotated[int, Meta(ge=1, lt=2**31)] = 1
    s: Annotated[int, Meta(ge=0, le=599)] = 0
    d: Annotated[tuple[Offset, ...], Meta(min_length=1, max_length=BREAKS_MAX)] | UnsetType = UNSET
    p: Annotated[tuple[Pause, ...], Meta(min_length=1, max_length=BREAKS_MAX)] | UnsetType = UNSET

    @property
    def breaks(self) -> tuple[tuple[int, int], ...]:
        """The offset of each break and the pause after it in ms."""
        offsets = self.d or ()
        return tuple(zip(offsets, self.p or (0,) * len(offsets), strict=True))


class _Version(msgspec.Struct):
    snapsurge_trace: int


class _Counted:
    """A file that counts the bytes read from it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.count = file, 0

    def read(self, size: int) -> bytes:
        """As the file's."""
        data = self._file.read(size)
        self.count += len(data)
        return data


def read(file: BinaryIO) -> tuple[Header, Iterator[list[Row]]]:
    """The header, and the rows in blocks; TraceError when a header or row is malformed or the rows are not sorted."""
    texts = text(file)
    head, _, rest = next(texts, b"").partition(b"\n")
    header = _header(head)
    return header, _rows(rest, texts, header.snapsurge_trace)


def text(file: BinaryIO) -> Iterator[bytes]:
    """The text of a gzip file in blocks of whole lines; TraceError when it is damaged, cut off or too large."""
    packed = _Counted(file)
    total, carried = 0, b""
    try:
        with gzip.GzipFile(fileobj=cast(BinaryIO, packed)) as unpacked:  # It calls no more than read.
            while block := unpacked.read(BLOCK_BYTES):
                total += len(block)
                # A file of any size is refused in bounded memory: early by how well it packs, then by the length of a
                # line, and by the number of rows. Only one block is held at a time.
                if total > max(RATIO_FROM_BYTES, RATIO_MAX * packed.count):
                    raise TraceError(
                        f"{total} bytes of text from {packed.count}: no burst packs so well; the rest is not read"
                    )
                whole, newline, rest = (carried + block).rpartition(b"\n")
                if len(rest) > LINE_BYTES_MAX:
                    raise TraceError(f"a line of more than {LINE_BYTES_MAX} bytes: no trace")
                if newline:
                    yield whole + newline
                carried = rest
    except EOFError as error:
        raise TraceError(f"not a gzip file to its end: cut off after {total} bytes of text; copy it again") from error
    except gzip.BadGzipFile as error:
        raise TraceError(f"not a gzip file: {error}") from error
    except zlib.error as error:
        raise TraceError(f"a damaged gzip file: {error}") from error
    if carried:
        yield carried


def _header(line: bytes) -> Header:
    try:
        version = msgspec.json.decode(line, type=_Version).snapsurge_trace
        if version not in {FORMAT, FORMAT_WITH_BREAKS}:
            raise TraceError(
                f"line 1 is no trace header: version {version} of the format, and this program reads versions "
                f"{FORMAT} and {FORMAT_WITH_BREAKS}"
            )
        no_key_twice(line)
        return msgspec.json.decode(line, type=Header)
    except (msgspec.MsgspecError, ValueError) as error:
        raise TraceError(f"line 1 is no trace header: {error}") from error


def _rows(rest: bytes, texts: Iterator[bytes], version: int) -> Iterator[list[Row]]:
    decoder, encoder = msgspec.json.Decoder(Row), msgspec.json.Encoder()
    count, last = 0, 0
    block = rest or next(texts, b"")
    while block:
        try:
            rows = decoder.decode_lines(block)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            # The decoder does not say in which line; a block is decoded line by line only to name it.
            raise _first_error(block, count) from None
        # What this program wrote reads the same when it is written again; anything else is looked at more closely.
        if encoder.encode_lines(rows) != (block if block.endswith(b"\n") else block + b"\n"):
            _check_lines(block, count)
        if rows[0].t < last or any(later.t < row.t for row, later in pairwise(rows)):
            raise _first_disorder(rows, count, last)
        # Without an escape and beyond ASCII there is no odd user, and looking at each costs as much as decoding.
        if not block.isascii() or b"\\" in block:
            _check_users(rows, count)
        if b'"d"' in block or b'"p"' in block:
            _check_breaks(rows, count, version)
        count, last = count + len(rows), rows[-1].t
        if count > ROWS_MAX:
            raise TraceError(f"more than {ROWS_MAX} rows: more than any region has users")
        yield rows
        block = next(texts, b"")


def _first_error(block: bytes, count: int) -> TraceError:
    decoder = msgspec.json.Decoder(Row)
    for number, line in enumerate(block.splitlines(), start=count + 1):
        if line.startswith(b'{"snapsurge_trace"'):
            return TraceError(f"row {number} is a second header: two traces are joined, and each is of one moment")
        try:
            decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            return TraceError(f"row {number}: {error}")
    return TraceError(f"row {count + 1} or later: not one JSON object a line")


def _check_lines(block: bytes, count: int) -> None:
    """Refuse what the decoder passes over: an empty line, and a key that is there twice, of which it takes the last."""
    # Each key of a row has two quotes, and so has its user: with more of them a key is there twice, or a row has more
    # text. Only then lines are looked at one by one, which takes five times as long as reading them.
    found = msgspec.json.Decoder(dict).decode_lines(block)
    quotes = 2 * (sum(map(len, found)) + len(found))
    lines = block.removesuffix(b"\n").split(b"\n")
    whole = len(lines) == len(found) and all(map(bytes.strip, lines))
    if whole and block.count(b'"') == quotes and b"\\" not in block:
        return
    for number, line in enumerate(lines, start=count + 1):
        if not line.strip():
            raise TraceError(f"row {number}: an empty line")
        try:
            no_key_twice(line)
        except ValueError as error:
            raise TraceError(f"row {number}: {error}") from error


def _first_disorder(rows: Sequence[Row], count: int, last: int) -> TraceError:
    for number, row in enumerate(rows, start=count + 1):
        if row.t < last:
            return TraceError(f"row {number}: not sorted, t={row.t} after t={last}")
        last = row.t
    raise AssertionError("the rows are sorted")


def _check_users(rows: Sequence[Row], count: int) -> None:
    for number, row in enumerate(rows, start=count + 1):
        if not (row.u.isascii() and row.u.isprintable()):
            raise TraceError(f"row {number}: the user {row.u!r} is not printable ASCII")


def _check_breaks(rows: Sequence[Row], count: int, version: int) -> None:
    for number, row in enumerate(rows, start=count + 1):
        if row.d is UNSET and row.p is UNSET:
            continue
        offsets, pauses = row.d or (), row.p or ()
        if version == FORMAT:
            raise TraceError(f"row {number}: breaks (d, p) in version 1 of the format, which has none")
        if not offsets or len(pauses) not in {0, len(offsets)}:
            raise TraceError(f"row {number}: {len(offsets)} breaks (d) and {len(pauses)} pauses (p): one for each")
        if any(later <= offset for offset, later in pairwise(offsets)):
            raise TraceError(f"row {number}: the offsets of breaks do not ascend: {list(offsets)}")
        if offsets[-1] >= row.f + row.b:
            raise TraceError(f"row {number}: a break at {offsets[-1]} of {row.f + row.b} bytes: it ends no upload")


def versioned(header: Header, *, breaks: bool) -> Header:
    """The header with the lowest version that has what the rows have."""
    # A trace without breaks is written as version 1, byte for byte as before, so that older programs read it.
    return msgspec.structs.replace(header, snapsurge_trace=FORMAT_WITH_BREAKS if breaks else FORMAT)


class Attempts:
    """Every attempt of a user once: what is told of rows of two moments, or of one recording read twice.

    A recording numbers a user's attempts, so two rows with the same user and number cannot be of one moment. Two
    moments whose users are hashed with different secrets cannot be told from one burst with two waves.
    """

    def __init__(self) -> None:
        self._hashes: list[np.ndarray] = []

    def add(self, rows: Sequence[Row]) -> None:
        """Take note of a block's attempts: 8 bytes a row."""
        # Hashes alone: 8 bytes a row, where the names of 20 M users would not fit.
        self._hashes.append(np.fromiter((hash((row.u, row.n)) for row in rows), np.int64, len(rows)))

    def doubled(self) -> list[tuple[int, int]]:
        """Indices of two rows each that are one attempt by their hash, which the caller confirms."""
        hashes = np.concatenate(self._hashes) if self._hashes else np.empty(0, np.int64)
        order = np.argsort(hashes, kind="stable")
        ranked = hashes[order]
        same = np.flatnonzero(ranked[1:] == ranked[:-1])
        return sorted((int(order[at]), int(order[at + 1])) for at in same)


def mixed(first: tuple[int, Row], second: tuple[int, Row]) -> TraceError | None:
    """The error when two rows, each with its index, are one attempt of one user."""
    (one, row), (two, later) = first, second
    if (row.u, row.n) != (later.u, later.n):
        return None
    apart = (later.t - row.t) / 1e6
    return TraceError(
        f"rows {one + 1} and {two + 1}: attempt {row.n} of user {row.u} twice, {apart:.1f} s apart: "
        "two moments are mixed, or one recording is in it twice"
    )


def write(file: BinaryIO, header: Header, blocks: Iterable[Sequence[Row]], count: int) -> None:
    """Put `count` rows into a file. The gzip header has no name and no time, so that equal traces give equal files."""
    encoder = msgspec.json.Encoder()
    head = encoder.encode(header) + b"\n"
    if len(head) > LINE_BYTES_MAX:
        raise TraceError(f"the header has {len(head)} bytes, {LINE_BYTES_MAX} at most: say a shorter note")
    level = 9 if count <= TIGHT_ROWS_MAX else 1
    # Writing is deterministic: the same rows give the same bytes, so a trace is known by its hash.
    with gzip.GzipFile(filename="", mode="wb", compresslevel=level, fileobj=file, mtime=0) as packed:
        packed.write(head)
        for rows in blocks:
            packed.write(encoder.encode_lines(rows))
