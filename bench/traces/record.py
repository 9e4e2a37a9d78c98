"""`record`: converts a balancer's rows into a trace of one moment.

The balancer knows nothing of photos. Its rows (`SNAPSURGE_LB_TRACE`) hold the time, the user as a keyed hash, the
announced length of the body, the bytes received and their rate, and the status.
"""

import datetime as dt
import re
import statistics
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from .lines import BYTES_MAX, MICROSECONDS_MAX, USER_CHARACTERS_MAX
from .trace import Header, Row, Trace, TraceError

PHOTO_BYTES_MIN: Final = 1


class Seen(msgspec.Struct, frozen=True):
    """A row of `lb/relay/access.py`: unix µs, user hash, path, length (-1 unknown), bytes received, bytes/s, status."""

    at: int
    u: Annotated[str, Meta(pattern=f"^[!-~]{{1,{USER_CHARACTERS_MAX}}}$")]
    p: str
    len: int
    got: Annotated[int, Meta(ge=0)]
    up: int
    s: Annotated[int, Meta(ge=0, le=599)]


def fires_at_us(text: str) -> int:
    """Unix µs of an RFC 3339 time, as the API writes it; TraceError when it is malformed or has no zone."""
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise TraceError(f"--fires-at {text}: a time as in 2026-01-01T12:00:00Z") from error
    if moment.tzinfo is None:
        raise TraceError(f"--fires-at {text}: say the zone, as in 2026-01-01T12:00:00Z")
    return round(moment.timestamp() * 1_000_000)


def read(paths: Iterable[Path]) -> list[Seen]:
    """The rows of all balancers' files, sorted by time; TraceError names the file and the line."""
    decoder, rows = msgspec.json.Decoder(Seen), list[Seen]()
    for path in paths:
        try:
            lines = path.read_bytes().splitlines()
        except OSError as error:
            raise TraceError(f"{path}: {error.strerror}") from error
        for number, line in enumerate(lines, start=1):
            try:
                rows.append(decoder.decode(line))
            except msgspec.MsgspecError as error:
                if number < len(lines):  # the last line may be incomplete: its process was killed
                    raise TraceError(f"{path}: line {number}: {error}") from error
    return sorted(rows, key=lambda row: row.at)


def record(seen: Iterable[Seen], *, fires_us: int, window_s: int, span_s: float, path: str, note: str) -> Trace:
    """The trace; TraceError when no row belongs to the moment. `path` is a regular expression for whole paths."""
    try:
        wanted = re.compile(path)
    except re.error as error:
        raise TraceError(f"--path {path} is no regular expression: {error}") from error
    last_us = min(span_s * 1e6, MICROSECONDS_MAX)
    # Refused and aborted arrivals are kept: a trace holds the load that was offered, not the load that was served.
    mine = [row for row in seen if 0 <= row.at - fires_us <= last_us and wanted.fullmatch(row.p)]
    # A request without a body, such as a deletion, is no pair.
    mine = [row for row in mine if max(row.len, row.got) >= 2 * PHOTO_BYTES_MIN]
    if not mine:
        raise TraceError("no row is of this moment; look at --fires-at and --path")
    paths = Counter(row.p for row in mine).most_common()
    # The times of two moments count from different seconds.
    if len(paths) > 1:
        found = ", ".join(f"{name} ({count})" for name, count in paths[:5])
        raise TraceError(
            f"rows of {len(paths)} moments: {found}; a trace is of one, so choose it: --path '{paths[0][0]}'"
        )
    # A body that came in one segment with its head has no meaningful rate.
    rates = [min(row.up, BYTES_MAX) for row in mine if row.got and row.up]
    usual = round(statistics.median(rates)) if rates else BYTES_MAX
    attempts: Counter[str] = Counter()
    rows: list[Row] = []
    for row in mine:
        attempts[row.u] += 1  # the n-th row of a user is attempt n
        size = min(row.len if row.len >= 0 else row.got, 2 * BYTES_MAX)
        rows.append(
            Row(
                t=row.at - fires_us,
                u=row.u,
                # The balancer saw one body: each photo is half of it.
                f=size - size // 2,
                b=size // 2,
                up=max(1, min(row.up, BYTES_MAX)) if row.got and row.up else usual,
                n=attempts[row.u],
                s=row.s,
            )
        )
    return Trace(Header(kind="recorded", window_s=window_s, note=note), tuple(rows))
