"""The distribution of the arrivals of a synthetic burst in closed form: fan-out + reaction + capture. Pure.

The fan-out is uniform over 0 to F, the reaction log-normal, the capture uniform over C/2 to 3C/2. G is the first
integral of the log-normal distribution, H the second; both follow from its partial moments.
"""

import math
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Floats = NDArray[np.floating[Any]]

# A log-normal distribution of no width has no density, and its scores would be divided by 0.
SIGMA_MIN: Final = 0.005
WIDTH_MIN: Final = 1e-3  # of the median reaction: a narrower uniform part is none, and its quotient would be noise


class Arrivals(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters, named as in `Shape`."""

    median_s: float
    sigma: float
    fanout_s: float
    capture_s: float

    def distribution(self, t: Floats) -> Floats:
        """The share of the users who have posted t seconds after the moment."""
        fanout_s, capture_s = self.fanout_s, self.capture_s
        if fanout_s < WIDTH_MIN * self.median_s:
            # A narrow part is taken as its mean.
            return self.without_fanout(t - fanout_s / 2)
        if capture_s < WIDTH_MIN * self.median_s:
            return self._spread(t - capture_s, fanout_s)
        first, last = t - capture_s / 2, t - capture_s * 1.5

        def bend(*, tail: bool) -> Floats:
            ends = (first, last, first - fanout_s, last - fanout_s)
            one, two, three, four = (self._second_integral(end, tail=tail) for end in ends)
            # P(arrival <= t) = (H(t - C/2) - H(t - 3C/2) - H(t - C/2 - F) + H(t - 3C/2 - F)) / (C F): the distribution
            # of a sum with a uniform part of width w is a difference of integrals of the other part's distribution,
            # divided by w.
            return (one - two - three + four) / (capture_s * fanout_s)

        # G and H grow with t and their differences do not, so far behind the median digits are lost: there the same is
        # computed from the other side, with the partial moments above t.
        return np.clip(np.where(last - fanout_s > self.median_s, 1 - bend(tail=True), bend(tail=False)), 0, 1)

    def without_fanout(self, t: Floats) -> Floats:
        """The share who would have posted t seconds after their phone was notified."""
        if self.capture_s < WIDTH_MIN * self.median_s:
            return np.where(t > self.capture_s, ndtr(self._scores(t - self.capture_s)[1]), 0.0)
        return self._spread(t - self.capture_s / 2, self.capture_s)

    def _spread(self, t: Floats, width: float) -> Floats:
        """The distribution of the reaction and a part that is uniform from 0 to `width`."""

        def rise(*, tail: bool) -> Floats:
            # P(reaction + capture <= t) = (G(t - C/2) - G(t - 3C/2)) / C
            return (self._integral(t, tail=tail) - self._integral(t - width, tail=tail)) / width

        return np.clip(np.where(t - width > self.median_s, 1 + rise(tail=True), rise(tail=False)), 0, 1)

    def places(self, t: Floats, drawn: Floats) -> Floats:
        """For each arrival, seconds after the moment at which its phone was notified, drawn from what t leaves open.

        Given t, the notification at p has the density of `without_fanout` at t - p, so with R its distribution, p has
        the quantile function t - R⁻¹(R(t) - drawn · (R(t) - R(t - F))).
        """
        latest = np.minimum(self.fanout_s, t)
        # Even steps for the bulk, and steps that grow for the first milliseconds, where the distribution bends.
        grid = np.concatenate([np.linspace(0, t.max(), 20_001), np.geomspace(1e-3, max(t.max(), 2e-3), 20_001)])
        grid.sort()
        reached = self.without_fanout(grid)
        here, before = (np.interp(at, grid, reached) for at in (t, t - latest))
        known = here - before > 1e-9  # else t is where the model has nobody: anywhere
        found = t - np.interp(here - drawn * (here - before), *_ascending(reached, grid))
        return np.clip(np.where(known, found, drawn * latest), 0, latest)

    def _scores(self, t: Floats) -> tuple[Floats, Floats]:
        """The times, at least almost zero, and their standard scores."""
        after = np.maximum(t, 1e-12)
        return after, (np.log(after) - math.log(self.median_s)) / max(self.sigma, SIGMA_MIN)

    def _integral(self, t: Floats, *, tail: bool) -> Floats:
        """E[(t - reaction)+], the integral of the reaction's distribution; as `tail`, E[(reaction - t)+]."""
        (after, score), sign, sigma = self._scores(t), -1 if tail else 1, max(self.sigma, SIGMA_MIN)
        mean = self.median_s * math.exp(sigma * sigma / 2)
        return np.where(t > 0, sign * (after * ndtr(sign * score) - mean * ndtr(sign * (score - sigma))), 0.0)

    def _second_integral(self, t: Floats, *, tail: bool) -> Floats:
        """E[(t - reaction)+²] / 2, the integral of the integral; as `tail`, E[(reaction - t)+²] / 2."""
        (after, score), sign, sigma = self._scores(t), -1 if tail else 1, max(self.sigma, SIGMA_MIN)
        mean = self.median_s * math.exp(sigma * sigma / 2)
        square = self.median_s**2 * math.exp(2 * sigma * sigma)
        zeroth, first, second = (ndtr(sign * (score - number * sigma)) for number in range(3))
        return np.where(t > 0, (after * after * zeroth - 2 * after * mean * first + square * second) / 2, 0.0)


def _ascending(values: Floats, at: Floats) -> tuple[Floats, Floats]:
    """Both without the places where the values do not rise, so that they can be interpolated the other way round."""
    rises = np.concatenate([[True], np.diff(np.maximum.accumulate(values)) > 0])
    return np.maximum.accumulate(values)[rises], at[rises]
