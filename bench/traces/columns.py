"""A trace as numpy columns, for bursts of millions of arrivals: 58 bytes a row instead of 250.

Breaks are two tables, as wide as the most breaks of a row: none in a trace without breaks.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType
from numpy.typing import NDArray

from ..files import replacing
from . import lines
from .lines import Header, Row, TraceError

DTYPES: Final = {"t": np.int64, "f": np.int32, "b": np.int32, "up": np.int32, "n": np.int32, "s": np.int16}
# Rows exist as objects only while their block is decoded or encoded.
BLOCK_ROWS: Final = 50_000
NO_BREAK: Final = -1  # a place in the tables of breaks that a row does not need

Ints = NDArray[np.signedinteger[Any]]


class Columns(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of `Row`, one array each, of one length, sorted by `t`; `u` holds bytes.

    `d` and `p` have one shape, a line for each row: offsets and pauses in the order of the breaks, else `NO_BREAK`.
    """

    t: Ints
    u: NDArray[np.bytes_]
    f: Ints
    b: Ints
    up: Ints
    n: Ints
    s: Ints
    d: Ints
    p: Ints

    @classmethod
    def first(cls, t: Ints, u: NDArray[np.bytes_], f: Ints, b: Ints, up: Ints) -> "Columns":
        """First attempts without an answer and without breaks; the caller has sorted them."""
        ones, zeros, none = np.ones(len(t), DTYPES["n"]), np.zeros(len(t), DTYPES["s"]), unbroken(len(t))
        return cls(t=t, u=u, f=f, b=b, up=up, n=ones, s=zeros, d=none, p=none)

    @property
    def count(self) -> int:
        """The number of rows."""
        return len(self.t)

    def where(self, chosen: NDArray[Any] | slice) -> "Columns":
        """The rows that a mask, indices or a slice choose."""
        return Columns(**{name: getattr(self, name)[chosen] for name in self.__struct_fields__})

    def first_attempts(self) -> "Columns":
        """The rows that a replay sends: a client makes its own retries."""
        firsts = self.n == 1
        return self if firsts.all() else self.where(firsts)

    def blocks(self) -> Iterator[list[Row]]:
        """The rows as objects, a block at a time."""
        for start in range(0, self.count, BLOCK_ROWS):
            part = self.where(slice(start, start + BLOCK_ROWS))
            users = part.u.astype("U").tolist()
            rest = [getattr(part, name).tolist() for name in ("f", "b", "up", "n", "s")]
            if part.d.shape[1]:
                rest += [list(map(_tuple, part.d.tolist())), list(map(_tuple, part.p.tolist()))]
            yield list(map(Row, part.t.tolist(), users, *rest))


def unbroken(count: int) -> Ints:
    """The table of breaks of so many rows without any."""
    return np.empty((count, 0), np.int32)


def _tuple(places: list[int]) -> tuple[int, ...] | UnsetType:
    """What a row has of its places in a table of breaks."""
    return tuple(place for place in places if place != NO_BREAK) or UNSET


def _table(rows: list[tuple[int, ...]]) -> Ints:
    """The table of these rows, as wide as the longest."""
    width = max(map(len, rows))
    if not width:
        return unbroken(len(rows))
    return np.array([[*row, *(NO_BREAK,) * (width - len(row))] for row in rows], np.int32)


def read(path: Path) -> tuple[Header, Columns]:
    """The header and the rows of a trace file; TraceError names the file and what is wrong."""
    try:
        with path.open("rb") as file:
            header, blocks = lines.read(file)
            return header, _columns(blocks)
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror}") from error
    except TraceError as error:
        raise TraceError(f"{path}: {error}") from error


def _columns(blocks: Iterator[list[Row]]) -> Columns:
    parts: dict[str, list[NDArray[Any]]] = {name: [np.empty(0, kind)] for name, kind in DTYPES.items()}
    users = [np.empty(0, "S1")]
    offsets, pauses = [unbroken(0)], [unbroken(0)]
    attempts = lines.Attempts()
    for rows in blocks:
        attempts.add(rows)
        for name, kind in DTYPES.items():
            parts[name].append(np.fromiter((getattr(row, name) for row in rows), kind, len(rows)))
        users.append(np.array([row.u for row in rows], "S"))
        offsets.append(_table([row.d or () for row in rows]))
        pauses.append(_table([row.p or () for row in rows]))
    width = max(table.shape[1] for table in offsets)
    found = Columns(
        u=np.concatenate(users),
        d=_joined(offsets, width),
        p=_joined(pauses, width),
        # `pop`, so that a column's blocks are freed before the next one is joined.
        **{name: np.concatenate(parts.pop(name)) for name in DTYPES},
    )
    # Equal hashes are only a suspicion: `mixed` compares the rows.
    for one, two in attempts.doubled():
        first, second = (next(iter(found.where(np.array([at])).blocks()))[0] for at in (one, two))
        if error := lines.mixed((one, first), (two, second)):
            raise error
    return found


def _joined(tables: list[Ints], width: int) -> Ints:
    """One table of several, so wide."""
    filled = [np.pad(one, ((0, 0), (0, width - one.shape[1])), constant_values=NO_BREAK) for one in tables]
    return np.concatenate(filled)


def write(path: Path, header: Header, columns: Columns) -> None:
    """Put the trace into a file, replacing what was there when it is complete."""
    written = lines.versioned(header, breaks=bool((columns.d != NO_BREAK).any()))
    with replacing(path) as file:
        lines.write(file, written, columns.blocks(), columns.count)
