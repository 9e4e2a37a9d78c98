"""What a trace holds, in figures: arrivals, bytes, attempts, uploads in flight, and the burst that `synth` would make.

Uploads in flight are estimated: each lasts as long as its bytes take on its uplink, and as long as the pauses of its
breaks. Pure.
"""

import shlex
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..errors import BenchError
from . import fits, synthesis
from .columns import NO_BREAK, Columns
from .lines import Header
from .synthesis import Shape, Uplink

WINDOWS_S: Final = (1, 10, 60)
PERCENTS: Final = (1, 10, 25, 50, 75, 90, 99)
SERIES_S_MAX: Final = 7200  # A slow uplink could make a series of years.

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.signedinteger[Any]]


class Peak(msgspec.Struct, frozen=True):
    """The most of something within a window, and the second after the moment at which that window begins."""

    most: float
    at_s: float


class Arrivals(msgspec.Struct, frozen=True, kw_only=True):
    """First attempts; `peaks` by the window's seconds, wherever it begins; `per_s` by whole seconds."""

    users: int
    on_time: float
    seconds: dict[str, float]
    peaks: dict[str, Peak]
    per_s: list[int]


class Attempts(msgspec.Struct, frozen=True, kw_only=True):
    """All rows: how many are a user's n-th attempt, what they were answered (status, or none), their peaks."""

    total: int
    by_number: dict[str, int]
    answers: dict[str, int]
    peaks: dict[str, Peak]


class Bytes(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of photos: their sum, the most that arrivals within a window announce, the most a second on the uplinks."""

    total: int
    peaks: dict[str, Peak]
    uplinks_per_s: Peak


class InFlight(msgspec.Struct, frozen=True, kw_only=True):
    """Estimated uploads in flight: the peak, the most in each second, seconds that an upload takes."""

    peak: Peak
    per_s: list[int]
    upload_s: dict[str, float]


class Breaks(msgspec.Struct, frozen=True, kw_only=True):
    """Breaks of connections: the share of the uploads that have one, all breaks, quantiles of their places and pauses.

    A place is the share of the photos' bytes that the phone has sent. `source` is `model` for a synthetic trace.
    """

    source: str
    share: float
    total: int
    places: dict[str, float]
    pause_s: dict[str, float]


class Fit(msgspec.Struct, frozen=True, kw_only=True):
    """The fitted distributions, null where there are too few values, and the command that makes such a burst."""

    arrivals: fits.ArrivalsFit | None
    sizes: fits.SizesFit | None
    uplinks: tuple[Uplink, ...]
    synth: str | None


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """Quantiles are by percent, as p50, with min and max."""

    trace: str
    trace_sha256: str
    header: Header
    arrivals: Arrivals
    attempts: Attempts
    bytes: Bytes
    photo_bytes: dict[str, float]
    uplink_bytes_per_s: dict[str, float]
    in_flight: InFlight
    breaks: Breaks | None
    fit: Fit


def describe(trace: str, sha256: str, header: Header, columns: Columns, fanout_s: float | None = None) -> Description:
    """The figures of a trace; BenchError when it has no first attempt. `fanout_s`: of the push, when it is known."""
    # First attempts are what users ask of the service and what a replay sends; retries are counted apart.
    firsts = columns.first_attempts()
    if not firsts.count:
        raise BenchError(f"{trace}: no arrivals")
    # 64 bits, because sums of many pairs do not fit 32.
    pairs = firsts.f.astype(np.int64) + firsts.b
    flight, uplinks = _in_flight(firsts.t, pairs, firsts.up, np.maximum(firsts.p, 0).sum(axis=1) / 1000)
    return Description(
        trace=trace,
        trace_sha256=sha256,
        header=header,
        arrivals=Arrivals(
            users=firsts.count,
            on_time=round(float(np.mean(firsts.t <= header.window_s * 10**6)), 6),
            seconds=_quantiles(firsts.t / 1e6, 3),
            peaks=_peaks(firsts.t),
            per_s=np.bincount(firsts.t // 10**6)[:SERIES_S_MAX].tolist(),
        ),
        attempts=_attempts(columns),
        bytes=Bytes(total=int(pairs.sum()), peaks=_peaks(firsts.t, pairs), uplinks_per_s=uplinks),
        photo_bytes=_quantiles(np.concatenate([firsts.f, firsts.b]), 0),
        uplink_bytes_per_s=_quantiles(firsts.up, 0),
        in_flight=flight,
        breaks=_breaks(header, firsts, pairs),
        fit=_fit(header, firsts, fanout_s),
    )


def _attempts(columns: Columns) -> Attempts:
    numbers, counts = np.unique(columns.n, return_counts=True)
    statuses, answered = np.unique(columns.s, return_counts=True)
    return Attempts(
        total=columns.count,
        by_number={str(number): int(count) for number, count in zip(numbers, counts, strict=True)},
        answers={
            str(status) if status else "none": int(count) for status, count in zip(statuses, answered, strict=True)
        },
        peaks=_peaks(columns.t),
    )


def _quantiles(values: NDArray[Any], digits: int) -> dict[str, float]:
    names = ["min", *(f"p{percent}" for percent in PERCENTS), "max"]
    # `inverted_cdf`: a value that the trace really has, and none between two.
    found = np.percentile(values, [0, *PERCENTS, 100], method="inverted_cdf")
    return {name: round(float(value), digits) for name, value in zip(names, found, strict=True)}


def _peaks(t: Ints, amounts: Ints | None = None) -> dict[str, Peak]:
    """The most arrivals, or the greatest sum of their amounts, in each window, wherever it begins."""
    sums = np.arange(len(t) + 1) if amounts is None else np.concatenate([[0], np.cumsum(amounts)])
    found = {}
    for seconds in WINDOWS_S:
        # A window with the most arrivals may be moved to begin with one of them.
        within = sums[np.searchsorted(t, t + seconds * 10**6)] - sums[:-1]
        at = int(np.argmax(within))
        found[str(seconds)] = Peak(int(within[at]), round(float(t[at]) / 1e6, 3))
    return found


def _breaks(header: Header, firsts: Columns, pairs: Ints) -> Breaks | None:
    there = firsts.d != NO_BREAK
    if not there.any():
        return None
    return Breaks(
        source="model" if header.kind == "synthetic" else "recorded",
        share=round(float(there.any(axis=1).mean()), 6),
        total=int(there.sum()),
        places=_quantiles((firsts.d / pairs[:, np.newaxis])[there], 3),
        pause_s=_quantiles(np.maximum(firsts.p[there], 0) / 1000, 3),
    )


def _in_flight(t: Ints, pairs: Ints, up: Ints, pauses_s: Floats) -> tuple[InFlight, Peak]:
    """Uploads in flight, and the bytes a second that they send at their uplinks' rates, as if without pauses."""
    sending_s = pairs / up
    upload_s = sending_s + pauses_s
    times, flying = _levels(t, upload_s, np.ones(len(t), np.int64))
    flight = InFlight(peak=_most(times, flying), per_s=_most_per_s(times, flying), upload_s=_quantiles(upload_s, 3))
    return flight, _most(*_levels(t, sending_s, up.astype(np.int64)))


def _levels(t: Ints, lasts_s: Floats, amounts: Ints) -> tuple[Ints, Ints]:
    """The times at which intervals that begin at t begin or end, and the sum of the amounts of those open from then."""
    times = np.concatenate([t, t + np.ceil(lasts_s * 1e6).astype(np.int64)])
    starts = np.concatenate([np.ones(len(t), np.int64), np.full(len(t), -1)])
    order = np.lexsort((starts, times))  # An end goes before a start at the same µs.
    return times[order], np.cumsum((starts * np.concatenate([amounts, amounts]))[order])


def _most(times: Ints, levels: Ints) -> Peak:
    at = int(np.argmax(levels))
    return Peak(int(levels[at]), round(float(times[at]) / 1e6, 3))


def _most_per_s(times: Ints, levels: Ints) -> list[int]:
    """The highest level in each second, of levels that hold from their time to the next one."""
    seconds = min(int(times[-1]) // 10**6 + 1, SERIES_S_MAX)
    starts = np.arange(seconds + 1) * 10**6
    bounds = np.searchsorted(times, starts)
    # A second in which nothing begins or ends has the level from before it.
    before = np.concatenate([[0], levels])[np.searchsorted(times, starts[:-1], side="right")]
    within = np.maximum.reduceat(np.append(levels, 0), bounds)[:seconds]
    highest = np.where(np.diff(bounds) > 0, np.maximum(before, within), before)
    return [int(level) for level in highest]


def _fit(header: Header, firsts: Columns, fanout_s: float | None) -> Fit:
    arrivals = fits.fit_arrivals(firsts.t, fanout_s)
    sizes = fits.fit_sizes(np.concatenate([firsts.f, firsts.b]))
    uplinks = fits.fit_uplinks(firsts.up)
    if arrivals is None or sizes is None:
        return Fit(arrivals=arrivals, sizes=sizes, uplinks=uplinks, synth=None)
    made = arrivals.arrivals
    shape = Shape(
        posters=firsts.count,
        median_s=_short(made.median_s),
        sigma=_short(made.sigma),
        capture_s=_short(made.capture_s),
        fanout_s=_short(made.fanout_s),
        span_s=arrivals.span_s,
        photo_bytes=sizes.photo_bytes,
        photo_sigma=_short(sizes.photo_sigma),
        photo_bytes_min=sizes.photo_bytes_min,
        photo_bytes_max=sizes.photo_bytes_max,
        uplinks=tuple(Uplink(uplink.bytes_per_s, _short(uplink.share)) for uplink in uplinks),
    )
    words = synthesis.command(shape, header.window_s, header.seed or 1, "like.jsonl.gz")
    return Fit(arrivals=arrivals, sizes=sizes, uplinks=uplinks, synth=shlex.join(words))


def _short(value: float) -> float:
    return float(f"{value:.4g}")
