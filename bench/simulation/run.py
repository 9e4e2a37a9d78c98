"""Plays a burst in virtual time, tick by tick, and checks after each that no pair was lost or doubled.

Within a tick compiled code does the work (`ticks.py`). Between ticks: machines share their cores, the autoscaler
decides each second, faults begin and end. The run ends when every user has an answer and no job is left.
"""

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from ..capacity.costs import Costs
from ..config import Config
from ..errors import BenchError
from . import phones
from .arrivals import Arrivals
from .breaking import Breaking
from .building import TICK_S, Made, built, copy_health
from .faults import Fault
from .fleet import Fleet
from .scaler import Scaler
from .ticks import advance
from .watching import Watch
from .world import (
    ACCEPTED,
    AWAY,
    COMPLETING,
    DEGRADED,
    GIVEN_UP,
    IN_FLIGHT,
    LOST,
    QUEUED,
    RAMPING,
    SHED,
    SHOWING,
    SPILLS,
    STARTED,
    STAY,
    TIERS,
    UNQUEUED,
    WAITING,
    WORKER,
    WORKERS,
    Floats,
    Longs,
)


class Broken(BenchError):
    """An invariant does not hold: a fault of the simulation."""


class Second(msgspec.Struct, frozen=True):
    """The queue and the workers at the end of a second."""

    t: int
    ready: int
    oldest_s: float
    workers: int
    desired: int


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One played burst; arrays by user, NaN where nothing happened; `seen`: see `watching.py`.

    `cpu_s` is by tier, until the last picture was seen, as a replay counts it; `later_s` is what workers spent after
    that, on pictures that were rendered without `full` first.
    """

    arrives: Floats
    finished: Floats
    ready: Floats
    seen: Floats
    shed: int
    lost: int
    given_up: int
    shed_s: Longs
    seconds: tuple[Second, ...]
    cpu_s: dict[str, float]
    later_s: float
    spills: int
    ended_s: float


class Play:
    """One burst being played."""

    def __init__(
        self, fleet: Fleet, costs: Costs, arrivals: Arrivals, window_s: float, config: Config, seed: int
    ) -> None:
        self.made: Made = built(fleet, costs, arrivals, window_s, config, seed)
        self.world = self.made.world
        self._count = len(arrivals.arrives)
        self._watch = Watch(self.world, fleet.phones.list_ms / 1000, self.made.hosts.of["phones"], seed)
        most = fleet.of("worker") if fleet.workers_max is None else min(fleet.workers_max, fleet.of("worker"))
        settings, start_s = self.made.settings, self.made.start_s
        self.scaler = Scaler(self.world, settings, workers_max=most, window_s=window_s, start_s=start_s)
        self.breaking = Breaking(self.made, self.scaler)
        self._area = 0.0
        self._spent = [0.0]  # CPU seconds of workers by the end of each tick
        phones.seed(seed)

    def play(self, faults: Sequence[Fault] = ()) -> Result:
        """Play to the end; Broken when an invariant does not hold."""
        self.breaking.plan(faults)
        counts, tick, arrived = self.world.counts, 0, 0
        found: list[Second] = []
        ticks_max = len(self.world.head) - 1
        while tick < ticks_max and not self._done(tick * TICK_S):
            now = tick * TICK_S
            self._between(now)
            arrived = advance(self.world, tick, arrived)
            tick += 1
            self._spent.append(float(self.world.flows[WORKER]))
            self._check(tick * TICK_S, arrived)
            if tick % round(self.scaler.every_s / TICK_S) == 0:
                depth = self.scaler.decide(tick * TICK_S)
                second = round(tick * TICK_S)
                found.append(Second(second, depth.ready, depth.oldest_s, self.scaler.workers, self.scaler.desired))
        self._check_little(tick * TICK_S)
        users, seen = self.world.users, self._watch.seen()
        cpu_s = dict(zip(TIERS, self.world.flows.tolist(), strict=False))
        cpu_s["worker"] = self._spent_until(seen)
        return Result(
            arrives=users["arrives"],
            finished=users["finished"].astype(np.float64),
            ready=users["ready"].astype(np.float64),
            seen=seen,
            shed=int(counts[SHED]),
            lost=int(counts[LOST]),
            given_up=int(counts[GIVEN_UP]),
            shed_s=self.world.shed_s,
            seconds=tuple(found),
            cpu_s=cpu_s,
            later_s=self._spent[-1] - cpu_s["worker"],
            spills=int(counts[SPILLS]),
            ended_s=tick * TICK_S,
        )

    def _spent_until(self, seen: Floats) -> float:
        """CPU seconds of workers until the last picture was seen."""
        last_s = float(np.nanmax(seen)) if np.isfinite(seen).any() else 0.0
        return self._spent[min(math.ceil(last_s / TICK_S), len(self._spent) - 1)]

    def _done(self, now: float) -> bool:
        counts, workers = self.world.counts, self.world.workers
        if any(counts[[AWAY, IN_FLIGHT, WAITING, UNQUEUED, QUEUED, SHOWING]]):
            return False
        return bool((workers["free"][self.world.heap[: counts[WORKERS]]] <= now).all())

    def _between(self, now: float) -> None:
        """Begin a tick: faults, health, polls, cores."""
        self.breaking.act(now)
        self.made.placement.tick(now)
        if self.world.counts[RAMPING]:
            copy_health(self.world, self.made.placement)
        workers, counts = self.world.workers, self.world.counts
        there = self.world.heap[: counts[WORKERS]]
        there = there[np.isfinite(workers["free"][there])]  # the others wait for the store
        busy = workers["free"][there] > now
        running = np.bincount(workers["machine"][there[busy]], minlength=len(self.made.hosts.cores)).astype(np.int32)
        self._watch.poll(self.made.cores, now, TICK_S)
        self.made.cores.share(self.world, TICK_S, running)

    def _check(self, now: float, arrived: int) -> None:
        """Conservation: every user is in one place, and every accepted pair is once queued, started, or to be queued.

        A pair that was rendered without `full` is once more queued or started.
        """
        counts = self.world.counts
        self._area += float(counts[IN_FLIGHT]) * TICK_S
        placed = counts[AWAY] + counts[IN_FLIGHT] + counts[WAITING] + counts[ACCEPTED] + counts[GIVEN_UP]
        renders = counts[UNQUEUED] + counts[STARTED] + counts[QUEUED] + counts[COMPLETING]
        if placed != self._count or counts[AWAY] != self._count - arrived:
            raise Broken(f"second {now:.2f}: {counts.tolist()} do not add up to {self._count} users")
        if renders != counts[ACCEPTED] + counts[DEGRADED]:
            raise Broken(f"second {now:.2f}: {renders} renders of {counts[ACCEPTED]} pairs, {counts[DEGRADED]} twice")
        nodes, load = self.world.nodes, self.world.lbs["load"]
        if nodes["requests"].sum() > counts[IN_FLIGHT] or (nodes["held"] < 0).any() or (load < 0).any():
            raise Broken(f"second {now:.2f}: more uploads in nodes than in flight, or less than nothing held")

    def _check_little(self, now: float) -> None:
        """Little's law: the uploads in flight over time are the sum of their stays."""
        stays = float(self.world.flows[STAY] + self.world.counts[IN_FLIGHT] * now)
        # In flight are counted at the ends of ticks, so a try is counted less than a tick too long or too short.
        if abs(self._area - stays) > TICK_S * (int(self.world.users["tries"].sum()) + 1):
            raise Broken(f"Little's law: {self._area:.1f} upload seconds in flight, {stays:.1f} by their stays")
