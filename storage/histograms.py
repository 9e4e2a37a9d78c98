"""Histograms of durations for Prometheus, fine enough to read percentiles from them.

Between 10 ms and 300 s a bucket is at most a fifth wide, so a percentile is known to 20 % there. That takes 67 buckets,
and `prometheus_client.Histogram` compares a sample with one bound after the other, up to 4 us in all. Here a sample
costs a binary search and an addition, under a microsecond; the collector makes the library's own families of them.
Not thread-safe: one event loop observes.
"""

import math
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise
from types import TracebackType
from typing import Final, Self

from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily, Metric, Sample
from prometheus_client.registry import Collector

ERROR_MAX: Final = 0.2


def fine(*bounds: float) -> tuple[float, ...]:
    """These bounds and as few as needed between them, so that no bucket is wider than `ERROR_MAX` of its lower bound.

    Bounds between the given ones have three significant digits.
    """
    made = [bounds[0]]
    for low, high in pairwise(bounds):
        steps = math.ceil(math.log(high / low) / math.log(1 + ERROR_MAX))
        made += [float(f"{low * (high / low) ** (step / steps):.3g}") for step in range(1, steps + 1)]
    return tuple(made)


# The given bounds are those of earlier versions, which queries and alerts may name. The balancer has its own copy,
# because it imports no other package (`lb/relay/counters.py`).
BOUNDS_S: Final = (
    *(0.001, 0.0025, 0.005),
    *fine(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0),
)
# From a render of milliseconds to a post that waits an hour; a percentile above 300 s is known to a factor of 3.
WIDE_BOUNDS_S: Final = (
    *(0.001, 0.0025, 0.005),
    *fine(0.01, 0.02, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.5, 1.0, 2.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0),
    *(600.0, 1800.0, 3600.0),
)


class Series:
    """The samples of one label value."""

    __slots__ = ("_bounds", "counts", "created", "sum_s")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.created = time.time()
        self.counts = [0] * (len(bounds) + 1)
        self.sum_s = 0.0

    def observe(self, seconds: float) -> None:
        """Add a sample to its bucket and to the sum."""
        self.counts[bisect_left(self._bounds, seconds)] += 1
        self.sum_s += seconds

    def time(self) -> "Timer":
        """A context that counts its duration."""
        return Timer(self)


class Timer:
    """Counts the duration of one block, however the block ends."""

    __slots__ = ("_began", "_series")

    def __init__(self, series: Series) -> None:
        self._series = series

    def __enter__(self) -> Self:
        self._began = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._series.observe(time.perf_counter() - self._began)


class Durations(Collector):
    """A histogram of seconds with at most one label, whose `values` are there from the start; the registry collects it.

    A series that begins with its first sample would lose that sample: `rate()` sees growth between two scrapes only.
    """

    def __init__(
        self,
        name: str,
        text: str,
        *,
        registry: CollectorRegistry,
        label: str = "",
        values: Sequence[str] = (),
        bounds: tuple[float, ...] = BOUNDS_S,
    ) -> None:
        self._name, self._text, self._label, self._bounds = name, text, label, bounds
        self._series: dict[str, Series] = {}
        for value in values if label else ("",):
            self.series(value)
        registry.register(self)

    def series(self, value: str = "") -> Series:
        """The series of this value of the label."""
        found = self._series.get(value)
        if found is None:
            found = self._series[value] = Series(self._bounds)
        return found

    def collect(self) -> Iterator[Metric]:
        """One family with all series."""
        family = HistogramMetricFamily(self._name, self._text, labels=[self._label] if self._label else [])
        for value, series in self._series.items():
            total, buckets = 0, list[tuple[str, float]]()
            for bound, count in zip((*map(str, self._bounds), "+Inf"), series.counts, strict=True):
                total += count
                buckets.append((bound, float(total)))
            labels = {self._label: value} if self._label else {}
            family.add_metric(list(labels.values()), buckets, series.sum_s)
            family.samples.append(Sample(f"{self._name}_created", labels, series.created))
        yield family
