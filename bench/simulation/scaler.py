"""The autoscaler of a simulated burst: the decision of `processors/scaling/sizing.py`, on the load of `pulse.py`.

It measures each second, as `processors/scaling/autoscale.py` does, and starts or stops workers. One pulse stands for
all workers: the meter adds them up. Within the times in `away` it decides nothing: a fault has stopped it.
"""

from typing import Final

import msgspec
import numpy as np

from processors.scaling.pulse import Meter, Pulse
from processors.scaling.sizing import Limits, Moment, Needed, decide

from .rendering import COMPLETE, broken_off, drop, push
from .settings import Settings
from .world import COMPLETING, FLAGGED, LEASED, LINK_BYTES_S, NOBODY, QUEUED, SHOWING, STARTED, WORKER, WORKERS, World

ALL: Final = "all"
EPOCH_MS: Final = 10**12  # unix ms of the moment; any will do


class Depth(msgspec.Struct, frozen=True):
    """The queue as `storage.queue.jobs.Depth` has it, as far as the meter reads it."""

    ready: int
    oldest_s: float
    leased: int
    deferred: int = 0


class Scaler:
    """Keeps the number of workers; `places` are the workers that machines have room for."""

    def __init__(self, w: World, settings: Settings, *, workers_max: int, window_s: float, start_s: float) -> None:
        warm = min(settings.whole("PROCESSORS_WORKERS_WARM") or workers_max, workers_max)
        least = min(settings.whole("PROCESSORS_WORKERS_MIN"), warm)
        self._limits = Limits(
            workers_min=least,
            workers_max=workers_max,
            workers_warm=warm,
            drain_s=settings.of("PROCESSORS_DRAIN_TARGET_S"),
            lead_s=settings.of("PROCESSORS_WARM_LEAD_S"),
            hold_s=settings.of("PROCESSORS_WARM_HOLD_S"),
            down_s=settings.of("PROCESSORS_SCALE_DOWN_S"),
            utilisation=settings.of("PROCESSORS_UTILISATION"),
        )
        self.every_s = settings.of("PROCESSORS_SCALE_EVERY_S")
        self._moment = Moment(fires_at_ms=EPOCH_MS, window_s=window_s)
        self._w, self._start_s = w, start_s
        self._meter, self._history = Meter(), tuple[Needed, ...]()
        self._spare = list(range(len(w.workers) - 1, -1, -1))
        self.away: list[tuple[float, float]] = []  # from, until: the scaler decides nothing
        self.desired = 0
        # Those of the warm floor stand before the moment, unless the lead is shorter than a start.
        self.start(warm if self._limits.lead_s >= start_s else least, -start_s)

    @property
    def workers(self) -> int:
        """Workers that run, or start."""
        return int(self._w.counts[WORKERS])

    def start(self, count: int, now: float) -> None:
        """Start so many workers now, as far as there is room."""
        for _ in range(min(count, len(self._spare))):
            push(self._w, self._spare.pop(), max(now + self._start_s, 0.0))

    def stop(self, count: int) -> None:
        """Stop the workers that have been idle the longest."""
        for _ in range(min(count, self.workers)):
            self._spare.append(int(self._w.heap[0]))
            drop(self._w, 0)

    def forget(self, machine: int) -> list[int]:
        """The machine's workers died; the users whose job each of them ran."""
        workers, heap = self._w.workers, self._w.heap
        lost = [int(one) for one in heap[: self.workers] if workers["machine"][one] == machine]
        for one in lost:
            drop(self._w, int(np.flatnonzero(heap[: self.workers] == one)[0]))
        self._spare = [one for one in self._spare if workers["machine"][one] != machine]
        if self._w.numbers[LINK_BYTES_S]:
            return [i for one in lost for i in broken_off(self._w, one)]
        return [int(workers["job"][one]) for one in lost if workers["job"][one] != NOBODY]

    def remember(self, places: list[int]) -> None:
        """Machines have room again for these workers."""
        self._spare += places

    def decide(self, now: float) -> Depth:
        """Measure and decide; the queue as it was measured."""
        depth = self.depth(now)
        counts = self._w.counts
        done = int(counts[STARTED] + counts[COMPLETING])
        pulse = Pulse(2 * done, float(self._w.flows[WORKER]))  # each render beside the flag of its post
        # One pulse stands for all workers: the meter adds them up.
        load = self._meter.load(depth, {ALL: pulse}, max(self.desired, 0), now)  # type: ignore[arg-type]
        if any(first <= now < last for first, last in self.away):
            return depth
        decision = decide(
            load,
            [self._moment],
            self._limits,
            workers=self.workers,
            now_ms=EPOCH_MS + int(now * 1000),
            history=self._history,
        )
        self._history, self.desired = decision.history, decision.desired
        self.start(self.desired - self.workers, now)
        self.stop(self.workers - self.desired)
        return depth

    def depth(self, now: float) -> Depth:
        """Jobs that are ready and not claimed ahead, flags among them, the age of the oldest, and what workers hold."""
        w = self._w
        heads = [float(w.users["at"][i]) for i in w.jobs[:COMPLETE, 0] if i != NOBODY]
        busy = int(w.counts[SHOWING])
        if not w.numbers[LINK_BYTES_S]:
            busy = int(np.count_nonzero(w.workers["free"][w.heap[: self.workers]] > now))
        ready = max(int(w.counts[QUEUED] - w.counts[LEASED]), 0) + int(w.counts[FLAGGED])
        oldest = max(now - min(heads), 0.0) if heads else 0.0
        return Depth(ready, oldest, busy + int(w.counts[LEASED]))
