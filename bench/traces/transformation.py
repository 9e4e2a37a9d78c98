"""Makes another burst of one: more or fewer users, larger photos, a push of another length. Pure.

Time is never compressed: reactions and captures stay as long as they are, and so does the window.
"""

import math
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..errors import BenchError
from . import fits
from .columns import DTYPES, NO_BREAK, Columns, Ints
from .lines import BYTES_MAX, MICROSECONDS_MAX, ROWS_MAX
from .synthesis import COPY_JITTER_S, hexadecimal

ODD: Final = 0x9E3779B97F4A7C15  # times an odd number, distinct 64-bit numbers stay distinct


class TransformError(BenchError):
    """The trace cannot be transformed so; the text says why."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for; `fanout_s` is the push of the trace when it is known, else it is fitted."""

    users: float = 1.0
    bytes: float = 1.0
    push_s: float | None = None
    fanout_s: float | None = None

    def __post_init__(self) -> None:
        if not (0 < self.users < math.inf and 0 < self.bytes < math.inf):
            raise TransformError("--users and --bytes are factors above 0")
        if not all(0 <= value < math.inf for value in (self.push_s or 0.0, self.fanout_s or 0.0)):
            raise TransformError("--push-s and --fanout-s are seconds, not negative")
        if self.users == 1 and self.bytes == 1 and self.push_s is None:
            raise TransformError("nothing to change: say --users, --bytes or --push-s")


def transform(columns: Columns, change: Change, rng: np.random.Generator) -> tuple[Columns, fits.ArrivalsFit | None]:
    """The other burst, and the fit that a new push relied on; TransformError when the arrivals do not fit."""
    # Retries and answers belong to the day on which they were recorded.
    found, fit = columns.first_attempts(), None
    if not found.count:
        raise TransformError("no arrivals")
    if change.push_s is not None:
        found, fit = _pushed(found, change.push_s, change.fanout_s, rng)
    if change.users != 1:
        found = _multiplied(found, change.users, rng)
    # The uplinks stay, so an upload takes longer.
    front, back = (_scaled(sizes, change.bytes) for sizes in (found.f, found.b))
    # The offsets of breaks grow with the bytes.
    d, p = _moved(found, front.astype(np.int64) + back)
    zeros = np.zeros(found.count, DTYPES["s"])
    made = msgspec.structs.replace(found, f=front, b=back, s=zeros, d=d, p=p)
    return made.where(np.argsort(found.t, kind="stable")), fit


def _pushed(
    columns: Columns, push_s: float, fanout_s: float | None, rng: np.random.Generator
) -> tuple[Columns, fits.ArrivalsFit]:
    fit = fits.fit_arrivals(columns.t, fanout_s)
    if fit is None:
        raise TransformError(f"--push-s needs at least {fits.COUNT_MIN} arrivals, to find out the push that they had")
    if fanout_s is None and not fit.goodness.fits:
        raise TransformError(
            f"--push-s: the arrivals do not fit one even push (KS distance {fit.goodness.distance:g}); "
            "say --fanout-s if you know how long it took"
        )
    t = columns.t / 1e6
    length_s = fit.arrivals.fanout_s
    drawn = rng.random(columns.count)
    # Each arrival's place in the fitted push is drawn from what its time leaves open, and that place's time in the
    # fitted push is replaced by its time in the new one. The order of the push stays.
    places_s = fit.arrivals.places(t, drawn) if length_s else np.zeros(columns.count)
    share = places_s / length_s if length_s else drawn
    moved = np.rint((t - places_s + share * push_s) * 1e6)
    if moved.max() > MICROSECONDS_MAX:
        raise TransformError("somebody would post more than two days after the moment")
    return msgspec.structs.replace(columns, t=moved.astype(DTYPES["t"])), fit


def _multiplied(columns: Columns, factor: float, rng: np.random.Generator) -> Columns:
    count = round(columns.count * factor)
    if not 0 < count <= ROWS_MAX:
        raise TransformError(f"{count} users: 1 to {ROWS_MAX} can be")
    whole, rest = divmod(count, columns.count)
    # A sample of the users for the rest of the factor; the number is exact.
    sample = np.sort(np.argsort(rng.random(columns.count), kind="stable")[:rest])
    chosen = np.concatenate([np.tile(np.arange(columns.count), whole), sample])
    found = columns.where(chosen)
    copies = len(chosen) - columns.count
    if copies <= 0:
        return found
    # The copies under new names, shifted, so that they are not simultaneous.
    jitter = np.rint((2 * rng.random(copies) - 1) * COPY_JITTER_S * 1e6).astype(DTYPES["t"])
    t = np.concatenate([found.t[: columns.count], np.clip(found.t[columns.count :] + jitter, 0, MICROSECONDS_MAX)])
    numbers = rng.integers(2**64, dtype=np.uint64) + np.arange(copies, dtype=np.uint64)
    u = np.concatenate([columns.u, hexadecimal(numbers * np.uint64(ODD))])
    return msgspec.structs.replace(found, t=t, u=u)


def _moved(columns: Columns, sizes: Ints) -> tuple[Ints, Ints]:
    """Offsets and pauses of breaks at the same shares of uploads of these sizes; of those that fall together, one."""
    share = columns.d / (columns.f.astype(np.int64) + columns.b)[:, np.newaxis]
    offsets = np.minimum(np.rint(share * sizes[:, np.newaxis]), sizes[:, np.newaxis] - 1)
    lost = columns.d == NO_BREAK
    lost[:, 1:] |= offsets[:, 1:] <= offsets[:, :-1]
    return np.where(lost, NO_BREAK, offsets).astype(DTYPES["f"]), np.where(lost, NO_BREAK, columns.p)


def _scaled(sizes: NDArray[np.signedinteger[Any]], factor: float) -> NDArray[np.signedinteger[Any]]:
    scaled = np.rint(sizes * factor)
    if scaled.max() > BYTES_MAX:
        raise TransformError(f"--bytes {factor:g}: a photo would have {scaled.max():.0f} bytes, {BYTES_MAX} at most")
    return np.asarray(np.maximum(scaled, 1), DTYPES["f"])
