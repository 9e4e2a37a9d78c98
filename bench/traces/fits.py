"""Fits a trace to the distributions of a synthetic burst, and says in words how well they describe it. Pure.

The parameters are those of `Shape`, found by maximum likelihood of the data in bins of equal counts. Goodness of fit is
the Kolmogorov-Smirnov distance D: the greatest difference between the share of the data up to a value and the share
that the fitted distribution has there.
"""

import math
from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import ndtr

from .arrivals import WIDTH_MIN, Arrivals
from .synthesis import Uplink

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.signedinteger[Any]]

COUNT_MIN: Final = 50  # fewer values fit anything
BINS: Final = 250
ROUGH_STEPS: Final = 80  # of the search from each start
FINE_STEPS: Final = 1500  # from the best of them, at most
POINTS_MAX: Final = 100_000  # of the data at which the distance is computed
CLOSE: Final = 0.02
ROUGH: Final = 0.05
# Chance alone makes D as large as 1.36 / sqrt(n) in one of 20 samples of n, so a smaller D cannot be told from a fit.
CHANCE: Final = 1.36
CLASSES_MAX: Final = 10  # of uplinks
# A share of 0 has no logarithm.
SHARE_MIN: Final = 1e-12
STEP: Final = 1e-3  # of a logarithm, for derivatives


class Goodness(msgspec.Struct, frozen=True):
    """How well the fitted distribution describes the data; `fits` is false when a transform must not rely on it."""

    distance: float
    chance: float  # the distance that chance makes at most, 19 times in 20
    fits: bool
    sense: str


class ArrivalsFit(msgspec.Struct, frozen=True, kw_only=True):
    """The fitted push fan-out, reaction and capture, until the last arrival.

    `errors` are relative standard errors of the parameters; null where the burst does not determine one, as a fan-out
    that is short beside the spread of the reactions.
    """

    arrivals: Arrivals
    errors: dict[str, float | None]
    span_s: float
    goodness: Goodness


class SizesFit(msgspec.Struct, frozen=True, kw_only=True):
    """The fitted sizes of photos: log-normal, clipped to what was seen."""

    photo_bytes: int
    photo_sigma: float
    photo_bytes_min: int
    photo_bytes_max: int
    goodness: Goodness


def goodness(distance: float, count: int) -> Goodness:
    """The figure and its sense."""
    chance = CHANCE / math.sqrt(count)
    word = "does not fit"
    if distance <= max(CLOSE, chance):
        word = "fits closely" if chance <= ROUGH else "too few to tell from a fit"
    elif distance <= max(ROUGH, chance):
        word = "fits roughly"
    sense = f"{word}: the shares up to any value differ by at most {100 * distance:.1f} points"
    return Goodness(round(distance, 4), round(chance, 4), word != "does not fit", sense)


def fit_arrivals(t_us: Ints, fanout_s: float | None = None) -> ArrivalsFit | None:
    """Fit sorted arrivals, with a known fan-out if one is given; None when there are too few.

    What is cut off behind the last arrival is taken into account, so a burst that was made with `span_s` fits too.
    """
    if len(t_us) < COUNT_MIN:
        return None
    t = t_us / 1e6
    # What is cut off behind the last arrival is unknown, so all likelihoods are given that nobody is above it.
    span_s = max(float(t[-1]), 1e-3)
    edges, counts = _bins(t)
    # The likelihood has several hollows (a long push looks like slow users), so short searches from many starts come
    # first.
    near = min(
        (_searched(edges, counts, start, fanout_s, ROUGH_STEPS) for start in _starts(t, fanout_s)), key=itemgetter(0)
    )
    logs = _searched(edges, counts, near[1], fanout_s, FINE_STEPS)[1]
    best = _made(logs, fanout_s)
    least = WIDTH_MIN * best.median_s  # What is narrower was not told from nothing.
    best = msgspec.structs.replace(
        best,
        capture_s=best.capture_s if best.capture_s >= least else 0.0,
        fanout_s=best.fanout_s if best.fanout_s >= least or fanout_s is not None else 0.0,
    )
    points, below = _points(t)
    # Far from the data differences of large numbers are left: a share that never falls, and none above the last.
    shares = np.maximum.accumulate(np.clip(best.distribution(np.append(points, span_s)), 0.0, 1.0))
    model = shares[:-1] / max(float(shares[-1]), SHARE_MIN)
    distance = float(np.max(np.maximum(np.abs(below - model), np.abs(below + 1 / len(t) - model))))
    errors = _errors(lambda at: _shares(edges, _made(at, fanout_s).distribution), logs, len(t))
    return ArrivalsFit(
        arrivals=best,
        errors=dict(zip(("median_s", "sigma", "capture_s", "fanout_s"), errors, strict=False)),
        span_s=math.ceil(span_s * 10) / 10,
        goodness=goodness(distance, len(t)),
    )


def _starts(t: Floats, fanout_s: float | None) -> Iterator[Floats]:
    """Logarithms where the search starts: short or long fan-out and capture, and a reaction between them."""
    low, middle, high = (float(value) for value in np.quantile(t, [0.005, 0.5, 0.95]))
    spread = max(high - low, 1e-3)
    for fanout in [share * spread for share in (0.05, 0.4, 0.9)] if fanout_s is None else [fanout_s]:
        for capture in (0.2 * low, 1.2 * low):
            median_s = max(middle - fanout / 2 - capture, 0.1 * spread)
            first = [median_s, 0.7, max(capture, 1e-4), *([fanout] if fanout_s is None else [])]
            yield np.log(first)


def _searched(edges: Floats, counts: Floats, start: Floats, fanout_s: float | None, steps: int) -> tuple[float, Floats]:
    """The least surprise near a start, and the logarithms of the parameters there."""
    return _minimum(start, lambda logs: _surprise(edges, counts, _made(logs, fanout_s).distribution), steps)


def _made(logs: Floats, fanout_s: float | None) -> Arrivals:
    median_s, sigma, capture_s, *fanouts = np.exp(np.clip(logs, -12, 12)).tolist()
    return Arrivals(
        median_s=median_s,
        sigma=min(sigma, 4.0),
        fanout_s=fanouts[0] if fanouts else float(fanout_s or 0),
        capture_s=capture_s,
    )


def _errors(shares: Callable[[Floats], Floats], logs: Floats, count: int) -> list[float | None]:
    """Relative standard errors: the inverse of the Fisher information of the logarithms, for data in bins."""
    # From first derivatives: reaction, sigma and capture are correlated to 0.97, and in second differences of the
    # likelihood the bend of its narrow valley made the errors a fifth too small.
    slopes = np.array([shares(logs + step) - shares(logs - step) for step in np.eye(len(logs)) * STEP]) / (2 * STEP)
    information = count * (slopes / np.maximum(shares(logs), SHARE_MIN)) @ slopes.T
    variances = np.diag(np.linalg.pinv(information, hermitian=True))
    # A flat direction of the likelihood has little information and a variance without meaning: not determined.
    known = (variances > 0) & (np.diag(information) > 1.0) & (variances < 1.0)
    return [round(math.sqrt(value), 4) if ok else None for value, ok in zip(variances, known, strict=True)]


def fit_sizes(sizes: Ints) -> SizesFit | None:
    """Fit sizes in any order; None when there are too few."""
    if len(sizes) < 2 * COUNT_MIN:
        return None
    ranked = np.sort(sizes)
    least, most = int(ranked[0]), int(ranked[-1])
    # Sizes are whole bytes: half a byte puts each inside its bin.
    edges, counts = _bins(ranked + 0.5)
    logs = np.log(ranked)

    def distribution(size: Floats, parameters: Floats) -> Floats:
        score = (np.log(np.maximum(size, 0.5)) - parameters[0]) / math.exp(parameters[1])
        return np.where(size < least, 0.0, np.where(size > most, 1.0, ndtr(score)))

    start = np.array([float(np.median(logs)), math.log(max(float(np.std(logs)), 1e-4))])
    _, found = _minimum(
        start, lambda parameters: _surprise(edges, counts, lambda at: distribution(at, parameters)), FINE_STEPS
    )
    values, last = np.unique(ranked, return_index=True)
    below = last / len(ranked)
    upto = np.append(below[1:], 1.0)
    distance = max(
        float(np.max(np.abs(upto - distribution(values + 0.5, found)))),
        float(np.max(np.abs(below - distribution(values - 0.5, found)))),
    )
    return SizesFit(
        photo_bytes=max(1, round(math.exp(found[0]))),
        photo_sigma=math.exp(found[1]),
        photo_bytes_min=least,
        photo_bytes_max=most,
        goodness=goodness(distance, len(sizes)),
    )


def fit_uplinks(rates: Ints) -> tuple[Uplink, ...]:
    """Every rate with its share where there are few; else ten classes of equal counts, each by its geometric mean."""
    values, counts = np.unique(rates, return_counts=True)
    if len(values) <= CLASSES_MAX:
        return tuple(Uplink(int(value), int(count) / len(rates)) for value, count in zip(values, counts, strict=True))
    parts = np.array_split(np.log(np.sort(rates)), CLASSES_MAX)
    return tuple(Uplink(round(math.exp(float(part.mean()))), len(part) / len(rates)) for part in parts)


def _bins(ranked: Floats) -> tuple[Floats, Floats]:
    """Edges of bins with about equal counts, from 0 to the greatest value, and the counts."""
    places = np.linspace(0, len(ranked) - 1, min(BINS, len(ranked) // 5) + 1).astype(int)[1:]
    edges = np.unique(ranked[places])
    upto = np.searchsorted(ranked, edges, side="right")
    return np.concatenate([[0.0], edges]), np.diff(upto, prepend=0).astype(float)


def _points(ranked: Floats) -> tuple[Floats, Floats]:
    """Evenly many of the data, and the share of the data below each."""
    places = np.unique(np.linspace(0, len(ranked) - 1, min(len(ranked), POINTS_MAX)).astype(int))
    return ranked[places], places / len(ranked)


def _surprise(edges: Floats, counts: Floats, distribution: Callable[[Floats], Floats]) -> float:
    """The negative log-likelihood a value, given that no value is above the last edge."""
    shares = _shares(edges, distribution)
    return float(-np.sum(counts * np.log(np.maximum(shares, SHARE_MIN))) / np.sum(counts))


def _shares(edges: Floats, distribution: Callable[[Floats], Floats]) -> Floats:
    """The share in each bin, given that no value is above the last edge."""
    reached = distribution(edges)
    shares: Floats = np.diff(reached) / max(float(reached[-1]), SHARE_MIN)
    return shares


def _minimum(start: Floats, cost: Callable[[Floats], float], steps: int) -> tuple[float, Floats]:
    # Without derivatives, which clipping and binning do not have everywhere.
    found = minimize(cost, start, method="Nelder-Mead", options={"maxiter": steps, "xatol": 1e-3, "fatol": 1e-7})
    return float(found.fun), np.asarray(found.x)
