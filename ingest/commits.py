"""Limits on concurrent PUTs and on uploads in flight, derived from the time that commits take.

Two limits, because an upload in flight mostly waits for its phone and does not load the store yet. Pure: the caller
reports when PUTs begin and end, and how many bodies wait. Times in seconds of a monotonic clock.
"""

import math
from typing import Final

WINDOW_S: Final = 0.5
SAMPLES_MIN: Final = 5
SLACK_S: Final = 0.25  # too short for a phone's user to notice
PUTS_MIN: Final = 4
PUTS_FIRST: Final = 16
PUTS_MAX: Final = 128  # the S3 client's connections
PROBE_S: Final = 20.0
SILENCE_S: Final = 1.0  # if none of the PUTs in progress ends for this long, there are too many
STALL_S: Final = 5.0  # after this long without an end the store counts as hung
GROWTH: Final = 1.5  # of the limit on uploads in flight, in each window without a queue
IN_FLIGHT_MIN: Final = 8
RECEIVE_WEIGHT: Final = 0.05
RATE_WEIGHT: Final = 0.3


class Commits:
    """The store's measured speed; `puts_max` concurrent PUTs, `rate` commits per second while there was enough work."""

    def __init__(self) -> None:
        self.puts_max = float(PUTS_FIRST)
        self.rate = 0.0
        self.under_way = 0
        self.growth = math.inf  # factor of the limit on uploads in flight; infinite until a body has had to wait
        self._receive_s = 0.0
        self._unloaded_s = math.inf
        self._ended_at = self._window_at = self._probed_at = self._halved_at = 0.0
        self._before_stall = 0.0  # puts_max before silence reduced it; 0 when it did not since a PUT ended
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
        """How many uploads in flight keep the wait for a PUT near `wait_s`; infinite until a body has waited."""
        if self.growth == math.inf:
            return math.inf
        # Little's law: with uploads arriving at the store's rate, rate x (time to receive + wait) of them are in
        # flight. On a node that never had a queue, only memory limits uploads.
        return max(IN_FLIGHT_MIN, self.growth * self.rate * (self._receive_s + wait_s))

    def stalled(self, now: float) -> bool:
        """Whether no PUT in progress has ended for `STALL_S`; each second of such silence halves `puts_max`."""
        if not self.under_way:
            return False
        if now - max(self._ended_at, self._halved_at) > SILENCE_S:
            self._before_stall = self._before_stall or self._before_probe or self.puts_max
            self._halved_at, self._before_probe = now, 0.0
            self.puts_max = max(PUTS_MIN, min(self.puts_max, self.under_way) / 2)
        return now - self._ended_at > STALL_S

    def refused(self, *, by_bound: bool) -> None:
        """Record that an upload was refused; `by_bound`: by the limit on uploads in flight, which may be too low."""
        self._refused = True
        self._bound_met |= by_bound

    def received(self, seconds: float) -> None:
        """Record how long a body took to arrive."""
        self._receive_s += (seconds - self._receive_s) * (RECEIVE_WEIGHT if self._receive_s else 1.0)

    def began(self, now: float) -> None:
        """Record that a PUT begins."""
        if not self.under_way:
            if now - self._ended_at > WINDOW_S:  # an idle period says nothing about the rate
                self._reset(now)
            self._ended_at = now
        self.under_way += 1

    def ended(self, now: float, seconds: float, *, waiting: int, committed: bool = True) -> None:
        """Record that a PUT ended after `seconds`, with `waiting` bodies queued; `committed`: the store worked."""
        self._full |= not self.free
        self._queued &= waiting > 0
        self.under_way -= 1
        self._ended_at, self._before_stall = now, 0.0
        self._committed += committed
        if not self._before_probe or now - seconds >= self._probed_at:
            self._samples += 1
            self._sum_s += seconds
        if self._samples >= SAMPLES_MIN and now - self._window_at >= WINDOW_S:
            self._close(now)

    def void(self, now: float) -> None:
        """Record that a PUT ended without effect because the store takes none now: silence before it was no load."""
        self.under_way -= 1
        self._ended_at = now
        self.puts_max, self._before_stall = max(self.puts_max, self._before_stall), 0.0

    def left(self) -> None:
        """Record that a PUT which was counted as begun was never sent."""
        self.under_way -= 1

    def _close(self, now: float) -> None:
        rate, mean_s = self._committed / (now - self._window_at), self._sum_s / self._samples
        if rate > self.rate or self._queued or self._refused:  # otherwise the rate was limited by demand
            self.rate += (rate - self.rate) * (RATE_WEIGHT if self.rate else 1.0)
        if self._before_probe:
            self.puts_max, self._before_probe = self._before_probe, 0.0
            self._unloaded_s = mean_s
        elif not self._full:
            self._unloaded_s, self._probed_at = mean_s, now
        else:
            self._adjust(mean_s)
            if now - self._probed_at > PROBE_S:
                # The unloaded time is measured again with a quarter of the PUTs, as Envoy does, so that a store that
                # became permanently slower is not taken for an overloaded one.
                self._before_probe, self._probed_at = self.puts_max, now
                self.puts_max = max(PUTS_MIN, self.puts_max / 4)
        if self._queued:
            self.growth = 1.0
        elif self._bound_met:
            self.growth *= GROWTH
        self._reset(now)

    def _adjust(self, mean_s: float) -> None:
        self._unloaded_s = min(self._unloaded_s, mean_s)
        # The gradient algorithm (Netflix, Envoy): if the store answers later than its unloaded time plus the slack, the
        # node's own PUTs are queueing there, and the limit falls; otherwise it grows by its square root.
        gradient = min(1.0, max(0.5, (self._unloaded_s + SLACK_S) / mean_s))
        self.puts_max = min(PUTS_MAX, max(PUTS_MIN, self.puts_max * gradient + math.sqrt(self.puts_max)))
