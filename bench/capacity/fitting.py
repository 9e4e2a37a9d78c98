"""Lines and distributions from readings: what the bench measured becomes the numbers of `costs.json`.

Pure.
"""

import statistics
from collections.abc import Iterable, Sequence
from typing import Final

from .costs import Line

STEPS: Final = 10  # quantiles at 0, 0.1 … 1


def fitted(points: Iterable[tuple[float, float]], spread: Sequence[float] = ()) -> Line:
    """The line through (bytes of a pair, ms of a pair) by least squares, with no negative part.

    Least squares with the constraint that both coefficients are at least 0: if the free fit breaks it, the better of
    the two lines on the border (a constant, or a line through the origin) is the solution, because the error is convex.
    One size gives a constant.
    """
    found = [(size / 1e6, ms) for size, ms in points]
    sizes, costs = [size for size, _ in found], [ms for _, ms in found]
    flat = (max(0.0, statistics.fmean(costs)), 0.0)
    if len(set(sizes)) == 1:
        return Line(fixed_ms=_short(flat[0]), spread=tuple(spread))
    slope, fixed = statistics.linear_regression(sizes, costs)
    square = sum(size * size for size in sizes)
    steep = (0.0, max(0.0, sum(size * ms for size, ms in found) / square))
    best = (fixed, slope)
    if fixed < 0 or slope < 0:
        best = min(flat, steep, key=lambda line: sum((line[0] + line[1] * size - ms) ** 2 for size, ms in found))
    return Line(fixed_ms=_short(best[0]), mb_ms=_short(best[1]), spread=tuple(spread))


def quantiles(values: Iterable[float], steps: int = STEPS) -> tuple[float, ...]:
    """The quantiles at 0, 1/steps … 1 by linear interpolation between the sorted values; empty without values."""
    ranked = sorted(values)
    if not ranked:
        return ()
    found = []
    for step in range(steps + 1):
        at = step / steps * (len(ranked) - 1)
        low = min(int(at), max(len(ranked) - 2, 0))
        high = min(low + 1, len(ranked) - 1)
        found.append(_short(ranked[low] + (ranked[high] - ranked[low]) * (at - low)))
    return tuple(found)


def spread(values: Iterable[float]) -> tuple[float, ...]:
    """The quantiles of the values as parts of their mean, so that they can be applied to any line."""
    found = [max(0.0, value) for value in values]
    mean = statistics.fmean(found) if found else 0.0
    return quantiles(value / mean for value in found) if mean else ()


def of_buckets(bounds: Sequence[float], counts: Sequence[float], steps: int = STEPS) -> tuple[float, ...]:
    """The quantiles of a histogram: `counts[i]` values lie between `bounds[i-1]` (0 for the first) and `bounds[i]`.

    Within a bucket values are taken as spread evenly, as Prometheus' histogram_quantile does.
    """
    total = sum(counts)
    if not total:
        return ()
    found = []
    for step in range(steps + 1):
        rank, below = step / steps * total, 0.0
        for low, high, count in zip((0.0, *bounds), bounds, counts, strict=False):
            if count and below + count >= rank:
                found.append(_short(low + (high - low) * (rank - below) / count))
                break
            below += count
        else:
            found.append(_short(bounds[-1]))
    return tuple(found)


def _short(value: float) -> float:
    """Four significant digits: more are noise."""
    return float(f"{value:.4g}")
