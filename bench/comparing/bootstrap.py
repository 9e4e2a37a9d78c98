"""The bootstrap interval of the difference of two means, honest for few runs.

A run is one observation: what happens inside it is not independent.
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

CONFIDENCE: Final = 0.95
RESAMPLES: Final = 10_000
SEED: Final = 14
# With three runs a side the interval is the whole range of the resampled differences, so a difference counts only when
# the two sides do not overlap. Two sides that do not differ are still apart in one of ten draws: more runs are worth
# their time.
RUNS_MIN: Final = 3  # with two a side, no order of the four runs is rare enough to say anything


def interval(ours: Sequence[float], baseline: Sequence[float], seed: int = SEED) -> tuple[float, float]:
    """The ends of the interval of mean(ours) - mean(baseline); the same readings and seed give the same interval.

    Each side has at least two values.
    """
    from scipy import stats  # noqa: PLC0415 - takes half a second, and every verb would pay for it

    fewest = min(len(ours), len(baseline))
    tail = (1 - CONFIDENCE) / 2
    # The plain percentile interval is too narrow for few observations; here it is expanded as in Hesterberg, "What
    # Teachers Should Know About the Bootstrap", 2015, section 4.2: the normal quantiles of its ends become those of
    # Student's t, times the root of n/(n-1).
    tail = float(stats.norm.cdf(math.sqrt(fewest / (fewest - 1)) * stats.t.ppf(tail, fewest - 1)))
    rng = np.random.default_rng(seed)
    means = [rng.choice(np.asarray(side), (RESAMPLES, len(side))).mean(axis=1) for side in (ours, baseline)]
    low, high = np.quantile(means[0] - means[1], (tail, 1 - tail))
    return float(low), float(high)
