"""`record`: converts a balancer's rows into a trace of one moment.

The balancer knows nothing of photos. Its rows (`SNAPSURGE_LB_TRACE`) hold the time, the user as a keyed hash, the
announced length of the body, the bytes received and their rate, and the status. In the trace, time zero is the moment's
`fires_at`, each photo is half of the body, and the n-th row of a user is attempt n. Refused and aborted arrivals are
kept: a trace holds the load that was offered, not the load that was served. Rows before the moment, past the span or of
other paths are left out.
"""

import datetime as dt
import re
import statistics
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from .trace import Header, Row, Trace, TraceError

PHOTO_BYTES_MIN: Final = 1
UPLINK_MAX: Final = 10**9  # A body that came in one segment with its head has no meaningful rate.


class Seen(msgspec.Struct, frozen=True):
    """A row of `lb/relay/access.py`: unix µs, user hash, path, length (-1 unknown), bytes received, bytes/s, status."""

    at: int
    u: str
    p: str
    len: int
    got: int
    up: int
    s: int


def fires_at_us(text: str) -> int:
    """Unix µs of an RFC 3339 time, as the API writes it; ValueError when it is malformed or has no zone."""
    moment = dt.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"--fires-at {text}: say the zone, as in 2026-01-01T12:00:00Z")
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
    wanted = re.compile(path)
    mine = [row for row in seen if 0 <= row.at - fires_us <= span_s * 1e6 and wanted.fullmatch(row.p)]
    mine = [row for row in mine if max(row.len, row.got) >= 2 * PHOTO_BYTES_MIN]
    if not mine:
        raise TraceError("no row is of this moment; look at --fires-at and --path")
    rates = [min(row.up, UPLINK_MAX) for row in mine if row.got and row.up]
    usual = round(statistics.median(rates)) if rates else UPLINK_MAX
    attempts: Counter[str] = Counter()
    rows: list[Row] = []
    for row in mine:
        attempts[row.u] += 1
        size = row.len if row.len >= 0 else row.got
        rows.append(
            Row(
                t=row.at - fires_us,
                u=row.u,
                f=size - size // 2,
                b=size // 2,
                up=max(1, min(row.up, UPLINK_MAX)) if row.got and row.up else usual,
                n=attempts[row.u],
                s=row.s,
            )
        )
    return Trace(Header(kind="recorded", window_s=window_s, note=note), tuple(rows))
