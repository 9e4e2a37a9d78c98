"""A trace as numpy columns, for bursts of millions of arrivals: 58 bytes a row instead of 250.

Read from a file in blocks; rows exist as objects only while their block is decoded or encoded.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..files import replacing
from . import lines
from .lines import Header, Row, TraceError

DTYPES: Final = {"t": np.int64, "f": np.int32, "b": np.int32, "up": np.int32, "n": np.int32, "s": np.int16}
BLOCK_ROWS: Final = 50_000

Ints = NDArray[np.signedinteger[Any]]


class Columns(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of `Row`, one array each, of one length, sorted by `t`; `u` holds bytes."""

    t: Ints
    u: NDArray[np.bytes_]
    f: Ints
    b: Ints
    up: Ints
    n: Ints
    s: Ints

    @classmethod
    def first(cls, t: Ints, u: NDArray[np.bytes_], f: Ints, b: Ints, up: Ints) -> "Columns":
        """First attempts without an answer; the caller has sorted them."""
        ones, zeros = np.ones(len(t), DTYPES["n"]), np.zeros(len(t), DTYPES["s"])
        return cls(t=t, u=u, f=f, b=b, up=up, n=ones, s=zeros)

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
            rest = (getattr(part, name).tolist() for name in ("f", "b", "up", "n", "s"))
            yield list(map(Row, part.t.tolist(), users, *rest))


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
    attempts = lines.Attempts()
    for rows in blocks:
        attempts.add(rows)
        for name, kind in DTYPES.items():
            parts[name].append(np.fromiter((getattr(row, name) for row in rows), kind, len(rows)))
        users.append(np.array([row.u for row in rows], "S"))
    found = Columns(u=np.concatenate(users), **{name: np.concatenate(parts.pop(name)) for name in DTYPES})
    for one, two in attempts.doubled():
        first, second = (next(iter(found.where(np.array([at])).blocks()))[0] for at in (one, two))
        if error := lines.mixed((one, first), (two, second)):
            raise error
    return found


def write(path: Path, header: Header, columns: Columns) -> None:
    """Put the trace into a file, replacing what was there when it is complete."""
    with replacing(path) as file:
        lines.write(file, header, columns.blocks(), columns.count)
