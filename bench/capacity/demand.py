"""What a burst asks for, second by second: uploads begun and received, bytes, uploads in flight, bytes held.

An upload of `size` bytes over an uplink of `up` bytes/s is in flight for size / up seconds and brings its bytes evenly
meanwhile. What it waits for after its last byte (its PUT) is added by Little's law where it matters. Pure.
"""

from collections.abc import Iterable
from typing import Final, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..errors import BenchError
from ..traces.trace import Row

Series = NDArray[np.float64]
SECONDS_MAX: Final = 24 * 3600  # an upload of a day is no upload of a moment


class DemandError(BenchError):
    """The burst cannot be planned for; the text says why."""


class Uploads(msgspec.Struct, frozen=True):
    """The uploads of a burst as arrays: seconds after the moment, bytes of the pair, bytes/s; each counts `weight`."""

    begin_s: Series
    size: Series
    up: Series
    weight: float = 1.0

    @classmethod
    def of(cls, rows: Iterable[Row], weight: float = 1.0) -> Self:
        """The uploads of trace rows: one for each row."""
        table = np.array([(row.t / 1e6, row.f + row.b, row.up) for row in rows], dtype=np.float64)
        if not len(table):
            raise DemandError("no arrivals: there is nothing to plan for")
        return cls(table[:, 0], table[:, 1], table[:, 2], weight)

    def changed(self, *, pairs: float = 1.0, size: float = 1.0, up: float = 1.0) -> "Uploads":
        """So many times the uploads, their bytes, their uplink."""
        return Uploads(self.begin_s, self.size * size, self.up * up, self.weight * pairs)


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """A burst by whole seconds after the moment; the first entry is of second 0.

    `begun` and `received`: uploads that begin, and whose last byte comes, in a second. `mb`: 10^6 bytes received in it.
    `in_flight`: uploads open, the larger of the mean over the second and the count at its end. `held_mb`: bytes
    received of uploads that are open at its end. `pairs`, `mean_bytes`: of all uploads.
    """

    begun: Series
    received: Series
    mb: Series
    in_flight: Series
    held_mb: Series
    pairs: float
    mean_bytes: float

    def times(self, factor: float) -> "Demand":
        """The burst of so many times the uploads."""
        series = ("begun", "received", "mb", "in_flight", "held_mb", "pairs")
        return msgspec.structs.replace(self, **{name: getattr(self, name) * factor for name in series})

    @property
    def seconds(self) -> int:
        """The number of seconds until the last upload is received."""
        return len(self.begun)


def demand(uploads: Uploads) -> Demand:
    """The burst of these uploads; DemandError when one of them takes longer than a day."""
    begin, end = uploads.begin_s, uploads.begin_s + uploads.size / uploads.up
    if end.max() >= SECONDS_MAX:
        raise DemandError(f"an upload ends {end.max():.0f} s after the moment, more than {SECONDS_MAX} s")
    seconds = int(end.max()) + 1
    edges = np.arange(seconds + 1, dtype=np.float64)
    # Sums over all uploads are exact, not sampled. With B(T) the uploads begun until T and E(T) those ended: in
    # flight(T) = |B(T)| - |E(T)|.
    begun, ended, one = _Until(edges, begin), _Until(edges, end), np.ones_like(begin)

    def integral(rate: Series) -> Series:
        """What came until each edge, when `rate` a second comes from each upload in flight."""
        # received(T) = sum of up * (T - begin) over B(T) - sum of up * (T - end) over E(T)
        came = begun.sums(rate) * edges - begun.sums(rate * begin)
        return came - (ended.sums(rate) * edges - ended.sums(rate * end))

    received_bytes, upload_seconds = integral(uploads.up), integral(one)
    # held(T) = received(T) - sum of size over E(T)
    ended_bytes, open_at = ended.sums(uploads.size), begun.sums(one) - ended.sums(one)
    weight = uploads.weight
    return Demand(
        begun=_histogram(begin, seconds) * weight,
        received=_histogram(end, seconds) * weight,
        mb=np.diff(received_bytes) * weight / 1e6,
        # The mean misses a count that rises within the second, the count at its end one that falls.
        in_flight=np.maximum(np.diff(upload_seconds), open_at[1:]) * weight,
        # Rounding may leave a difference of large sums below 0.
        held_mb=np.maximum(0.0, (received_bytes - ended_bytes)[1:]) * weight / 1e6,
        pairs=len(begin) * weight,
        mean_bytes=float(uploads.size.mean()),
    )


def _histogram(times: Series, seconds: int) -> Series:
    return np.bincount(times.astype(np.int64), minlength=seconds).astype(np.float64)


class _Until:
    """Sums over the uploads whose time is at most each edge; the times are sorted once."""

    def __init__(self, edges: Series, times: Series) -> None:
        self._order = np.argsort(times, kind="stable")
        self._cut = np.searchsorted(times[self._order], edges, side="right")

    def sums(self, amounts: Series) -> Series:
        """The sum of the amounts at each edge."""
        found: Series = np.concatenate(([0.0], np.cumsum(amounts[self._order])))[self._cut]
        return found
