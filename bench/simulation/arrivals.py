"""The arrivals of a burst as arrays, from the rows of a trace: when, how many bytes, and how long the phone sends."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from lb.placement.ring import Ring

from ..client import multipart
from ..connections import CHUNK_BYTES_MAX, CHUNK_BYTES_MIN, CHUNKS_PER_S
from ..traces.trace import Row
from .world import Bytes, Floats, Indices, Shorts, Words

OVERHEAD_BYTES: Final = len(multipart(b"", b""))
TURN_SHIFT: Final = 56


class Arrivals(msgspec.Struct, frozen=True):
    """Arrays by user, in the order of arrival; `keys` are the users' ids on the ring, none where they do not matter."""

    arrives: Floats
    bytes: Indices
    send_s: Shorts
    keys: Sequence[str] = ()


def arrivals_of(rows: Iterable[Row]) -> Arrivals:
    """The arrays of these rows, one for each user."""
    found = list(rows)
    photos = np.array([row.f + row.b for row in found], np.int64)
    uplink = np.array([row.up for row in found], np.float64)
    sizes = (photos + OVERHEAD_BYTES).astype(np.int32)
    arrives = np.array([row.t for row in found], np.float64) / 1e6
    return Arrivals(arrives, sizes, send_s(sizes, uplink), [row.u for row in found])


def send_s(sizes: Indices, uplink: npt.NDArray[np.float64]) -> Shorts:
    """Seconds from the first to the last chunk of each body."""
    chunk = np.clip(uplink // CHUNKS_PER_S, CHUNK_BYTES_MIN, CHUNK_BYTES_MAX).astype(np.int64)
    # As `bench/connections.py` sends: in chunks, each when those before it would have left at its uplink's rate, so the
    # last chunk leaves a little before the whole body would have.
    seconds: Shorts = ((sizes.astype(np.int64) - 1) // chunk * chunk / uplink).astype(np.float32)
    return seconds


def placed(arrivals: Arrivals, ring: Ring, rng: np.random.Generator) -> tuple[Words, Bytes]:
    """Each user's slot on the ring and turn in a slow start, by the ring's own digest; random without keys."""
    if arrivals.keys:
        digests = np.array([ring.digest(key.encode()) for key in arrivals.keys], np.uint64)
    else:
        digests = rng.integers(0, 2**64, len(arrivals.arrives), np.uint64)
    return (digests % np.uint64(ring.slots)).astype(np.uint32), (digests >> np.uint64(TURN_SHIFT)).astype(np.uint8)
