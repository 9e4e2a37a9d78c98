"""When a rehearsal sees that a picture is ready: the polls of `replay/ready.py`, one after the other.

Nobody polls where no machine has phones; there a picture is seen when it is ready.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from .cores import Cores
from .world import ACCEPTED, AWAY, IN_FLIGHT, WAITING, Floats, Shorts, World

# Of `replay/ready.py`: seconds between two polls, and times a poll's own duration, while phones send and afterwards.
PAUSE_S, PAUSE_PER_COST, WAIT_PER_COST = 1.0, 20, 4
NEVER: Final = np.inf


class Watch:
    """The polls of one burst, from these machines; `list_s` CPU seconds for each post that is listed."""

    def __init__(self, w: World, list_s: float, machines: Sequence[int], seed: int) -> None:
        self._w, self._list_s, self._machines = w, list_s, machines
        self._next = float(np.random.default_rng(seed).uniform(0.0, PAUSE_S))
        self._began = self._ends = NEVER
        self._sending = True
        self._known = (0, 0)
        self._seen: Floats = np.full(len(w.users), np.nan)

    def poll(self, cores: Cores, now: float, tick_s: float) -> None:
        """Poll until the tick that begins now has passed, and take the cores that polls use in it."""
        if not self._machines:
            return
        if self._ends <= now:
            self._end()
        sending = any(self._w.counts[[AWAY, IN_FLIGHT, WAITING]])
        if self._sending and not sending:  # the replay begins anew, with shorter pauses
            self._next, self._ends = now, NEVER
        self._sending = sending
        if self._ends == NEVER and self._next < now + tick_s:
            self._begin()
        there = max(0.0, min(self._ends, now + tick_s) - max(self._began, now)) if self._ends < NEVER else 0.0
        cores.watch(self._machines, there / tick_s)

    def seen(self) -> Floats:
        """After the burst: when each user's picture is seen; NaN of those that have none."""
        if not self._machines:
            return self._ready.astype(np.float64)
        while np.any(np.isnan(self._seen) & np.isfinite(self._ready)):
            if self._ends == NEVER:
                self._begin()
            self._end()
        return self._seen

    @property
    def _ready(self) -> Shorts:
        found: Shorts = self._w.users["ready"]
        return found

    def _begin(self) -> None:
        self._began, accepted = self._next, int(self._w.counts[ACCEPTED])
        counts = (accepted, int(np.count_nonzero(self._ready <= self._began)))
        # A poll lists all posts if anything changed since the last list, which takes as long as its CPU: it is served
        # before the workers.
        self._ends = self._began + (self._list_s * accepted if counts != self._known else 0.0)
        self._known = counts

    def _end(self) -> None:
        # What became ready before its middle is seen at its end, because a list is read page by page.
        self._seen[np.isnan(self._seen) & (self._ready <= (self._began + self._ends) / 2)] = self._ends
        times = PAUSE_PER_COST if self._sending else WAIT_PER_COST
        self._next, self._ends = self._ends + max(PAUSE_S, times * (self._ends - self._began)), NEVER
