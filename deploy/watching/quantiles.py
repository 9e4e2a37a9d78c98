"""Quantiles of a histogram, as Prometheus' `histogram_quantile` computes them. Pure."""

import math
from collections.abc import Iterable, Mapping

import msgspec


class Buckets(msgspec.Struct, frozen=True):
    """The samples that are not above each bound, +Inf last."""

    at_most: Mapping[float, float]

    @property
    def count(self) -> float:
        """The number of samples: the bucket without an upper bound has all."""
        return self.at_most.get(math.inf, 0.0)

    def quantile(self, part: float) -> float | None:
        """The value below which this part of the samples lies, interpolated inside its bucket; None without samples.

        Above the last finite bound that bound is the answer.
        """
        rank, low, below = part * self.count, 0.0, 0.0
        if not self.count:
            return None
        for bound, count in sorted(self.at_most.items()):
            if count >= rank and count > below:
                if math.isinf(bound):
                    # As `histogram_quantile` does: above the last finite bound nothing is known but that bound.
                    return low
                return low + (bound - low) * (rank - below) / (count - below)
            # `max`, because the buckets of several programs were read at different times and need not rise.
            low, below = bound if math.isfinite(bound) else low, max(count, below)
        return low


def merged(parts: Iterable[tuple[dict[str, str], float]]) -> Buckets:
    """The sum of several histograms, given as labels (of which `le` counts) and values; ValueError for a bad bound."""
    found: dict[float, float] = {}
    for labels, value in parts:
        bound = float(labels["le"])
        found[bound] = found.get(bound, 0.0) + value
    return Buckets(found)


def added(some: Iterable[Buckets]) -> Buckets:
    """The sum of several."""
    return merged(({"le": str(bound)}, count) for one in some for bound, count in one.at_most.items())
