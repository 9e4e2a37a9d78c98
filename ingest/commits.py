"""How many PUTs may be under way, and how many uploads in flight, judged by the time to commit.

Two bounds, because an upload in flight mostly waits for its phone and costs the store nothing yet:

- PUTs at once: the gradient form (Netflix, Envoy) over windows of half a second. A store that answers later than
  unloaded plus a quarter of a second has a queue of ours: fewer at once; else the square root of them more. What
  "unloaded" is, is measured anew every twenty seconds under load with a quarter of the PUTs, as Envoy does, because a
  store that became slow for good must not be taken for a full one.
- Uploads in flight, once bodies wait for a PUT: Little's law. Uploads that arrive at the store's rate are rate x
  (time to receive + wait) many, so admitting no more keeps the wait near what its rank is worth. Without a queue the
  bound grows by half a window, and memory alone bounds a node that never had one.

Pure: the caller says when PUTs begin and end, and how many bodies wait. Times in seconds on any steady clock.
"""

import math
from typing import Final

WINDOW_S: Final = 0.5
SAMPLES_MIN: Final = 5
SLACK_S: Final = 0.25  # what a phone does not notice
PUTS_MIN: Final = 4
PUTS_FIRST: Final = 16
PUTS_MAX: Final = 128  # the S3 client's connections
PROBE_S: Final = 20.0
SILENCE_S: Final = 1.0  # with PUTs under way and none ending, there are too many for the store
STALL_S: Final = 5.0  # after so much of it the store hangs
GROWTH: Final = 1.5
IN_FLIGHT_MIN: Final = 8
RECEIVE_WEIGHT: Final = 0.05
RATE_WEIGHT: Final = 0.3


class Commits:
    """What is known of the store's speed; `puts_max` at once, `rate` committed a second when there was enough to do."""

    def __init__(self) -> None:
        self.puts_max = float(PUTS_FIRST)
        self.rate = 0.0
        self.under_way = 0
        self.growth = math.inf  # of the bound on uploads in flight; infinite until bodies first waited
        self._receive_s = 0.0
        self._unloaded_s = math.inf
        self._ended_at = self._window_at = self._probed_at = self._halved_at = 0.0
        self._before_probe = 0.0  # puts_max outside a probe; 0 when there is none
        self._reset(0.0)

    def __repr__(self) -> str:
        return f"<Commits {self.under_way}/{self.puts_max:.0f} PUTs, {self.rate:.0f}/s>"

    def _reset(self, now: float) -> None:
        self._window_at, self._samples, self._committed, self._sum_s = now, 0, 0, 0.0
        self._full = self._refused = self._bound_met = False
        self._queued = True

    @property
    def free(self) -> bool:
        """Whether one more PUT may begin."""
        return self.under_way < int(self.puts_max)

    def in_flight_max(self, wait_s: float) -> float:
        """Uploads in flight that keep the wait for a PUT near `wait_s`; infinite until bodies first waited."""
        if self.growth == math.inf:
            return math.inf
        return max(IN_FLIGHT_MIN, self.growth * self.rate * (self._receive_s + wait_s))

    def stalled(self, now: float) -> bool:
        """Whether PUTs are under way and none has ended for long; each second of such silence halves `puts_max`."""
        if not self.under_way:
            return False
        if now - max(self._ended_at, self._halved_at) > SILENCE_S:
            self._halved_at, self._before_probe = now, 0.0
            self.puts_max = max(PUTS_MIN, min(self.puts_max, self.under_way) / 2)
        return now - self._ended_at > STALL_S

    def refused(self, *, by_bound: bool) -> None:
        """An upload was not admitted; if by the bound on uploads in flight, that may be too low."""
        self._refused = True
        self._bound_met |= by_bound

    def received(self, seconds: float) -> None:
        """A body took so long to come."""
        self._receive_s += (seconds - self._receive_s) * (RECEIVE_WEIGHT if self._receive_s else 1.0)

    def began(self, now: float) -> None:
        """A PUT begins."""
        if not self.under_way:
            if now - self._ended_at > WINDOW_S:  # a quiet time says nothing of the rate
                self._reset(now)
            self._ended_at = now
        self.under_way += 1

    def ended(self, now: float, seconds: float, *, waiting: int, committed: bool = True) -> None:
        """A PUT has ended after so long, while so many bodies wait for one; not `committed` when the store failed."""
        self._full |= not self.free
        self._queued &= waiting > 0
        self.under_way -= 1
        self._ended_at = now
        self._committed += committed
        if not self._before_probe or now - seconds >= self._probed_at:
            self._samples += 1
            self._sum_s += seconds
        if self._samples >= SAMPLES_MIN and now - self._window_at >= WINDOW_S:
            self._close(now)

    def left(self) -> None:
        """A PUT that had begun was never sent."""
        self.under_way -= 1

    def _close(self, now: float) -> None:
        rate, mean_s = self._committed / (now - self._window_at), self._sum_s / self._samples
        if rate > self.rate or self._queued or self._refused:  # else there was nothing to do
            self.rate += (rate - self.rate) * (RATE_WEIGHT if self.rate else 1.0)
        if self._before_probe:
            self.puts_max, self._before_probe = self._before_probe, 0.0
            self._unloaded_s = mean_s
        elif not self._full:
            self._unloaded_s, self._probed_at = mean_s, now
        else:
            self._adjust(mean_s)
            if now - self._probed_at > PROBE_S:
                self._before_probe, self._probed_at = self.puts_max, now
                self.puts_max = max(PUTS_MIN, self.puts_max / 4)
        if self._queued:
            self.growth = 1.0
        elif self._bound_met:
            self.growth *= GROWTH
        self._reset(now)

    def _adjust(self, mean_s: float) -> None:
        self._unloaded_s = min(self._unloaded_s, mean_s)
        gradient = min(1.0, max(0.5, (self._unloaded_s + SLACK_S) / mean_s))
        self.puts_max = min(PUTS_MAX, max(PUTS_MIN, self.puts_max * gradient + math.sqrt(self.puts_max)))
