"""Plays a burst in virtual time, tick by tick, and checks after each that no pair was lost or doubled.

Within a tick compiled code does the work (`ticks.py`). Between ticks: machines share their cores, the autoscaler
decides each second, faults begin and end. The run ends when every user has an answer and no job is left.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import numpy as np

from ingest.admission import Budget
from lb.placement.health import Event

from ..capacity.costs import Costs
from ..config import Config
from ..errors import BenchError
from . import link, phones, rules
from .arrivals import Arrivals
from .building import TICK_S, Made, built, copy_health
from .faults import STORE_TIMES, Fault
from .fleet import Fleet
from .scaler import Scaler
from .ticks import advance
from .watching import Watch
from .world import (
    ACCEPTED,
    AWAY,
    DESK,
    ENQUEUED,
    GIVEN_UP,
    IN_FLIGHT,
    LINK_BYTES_S,
    LOST,
    NOBODY,
    QUEUED,
    RAMPING,
    RECEIVED,
    SHED,
    SHOWING,
    SLOWDOWN,
    SPILLS,
    STARTED,
    STAY,
    STORED,
    TIERS,
    UNQUEUED,
    WAITING,
    WORKERS,
    Floats,
    Indices,
    Longs,
    nodes_of,
)

LITTLE_PART: Final = 0.02  # tolerance of Little's law: in-flight uploads are counted at the ends of ticks
CHECK_S: Final = 0.5  # a balancer's check of a node that is not healthy; two passed checks bring it back


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
    """One played burst; arrays by user, NaN where nothing happened; `seen`: see `watching.py`. `cpu_s` is by tier."""

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
        self._area = self._stays = 0.0
        self._due: list[tuple[float, Callable[[float], None]]] = []
        phones.seed(seed)

    def play(self, faults: Sequence[Fault] = ()) -> Result:
        """Play to the end; Broken when an invariant does not hold."""
        self._due = sorted(self._acts(faults), key=lambda act: act[0])
        counts, tick, arrived = self.world.counts, 0, 0
        found: list[Second] = []
        ticks_max = len(self.world.head) - 1
        while tick < ticks_max and not self._done(tick * TICK_S):
            now = tick * TICK_S
            self._between(now)
            arrived = advance(self.world, tick, arrived)
            tick += 1
            self._check(tick * TICK_S, arrived)
            if tick % round(self.scaler.every_s / TICK_S) == 0:
                depth = self.scaler.decide(tick * TICK_S)
                second = round(tick * TICK_S)
                found.append(Second(second, depth.ready, depth.oldest_s, self.scaler.workers, self.scaler.desired))
        self._check_little()
        users = self.world.users
        return Result(
            arrives=users["arrives"],
            finished=users["finished"].astype(np.float64),
            ready=users["ready"].astype(np.float64),
            seen=self._watch.seen(),
            shed=int(counts[SHED]),
            lost=int(counts[LOST]),
            given_up=int(counts[GIVEN_UP]),
            shed_s=self.world.shed_s,
            seconds=tuple(found),
            cpu_s=dict(zip(TIERS, self.world.flows.tolist(), strict=False)),
            spills=int(counts[SPILLS]),
            ended_s=tick * TICK_S,
        )

    def _done(self, now: float) -> bool:
        counts, workers = self.world.counts, self.world.workers
        if any(counts[[AWAY, IN_FLIGHT, WAITING, UNQUEUED, QUEUED, SHOWING]]):
            return False
        return bool((workers["free"][self.world.heap[: counts[WORKERS]]] <= now).all())

    def _between(self, now: float) -> None:
        """Begin a tick: faults, health, polls, cores."""
        while self._due and self._due[0][0] <= now:
            self._due.pop(0)[1](now)
        self.made.placement.tick(now)
        if self.world.counts[RAMPING]:
            copy_health(self.world, self.made.placement)
        workers, counts = self.world.workers, self.world.counts
        there = self.world.heap[: counts[WORKERS]]
        there = there[np.isfinite(workers["free"][there])]  # the others wait for the store
        busy = (workers["free"][there] > now) | (counts[QUEUED] > 0)
        running = np.bincount(workers["machine"][there[busy]], minlength=len(self.made.hosts.cores)).astype(np.int32)
        self._watch.poll(self.made.cores, now, TICK_S)
        self.made.cores.share(self.world, TICK_S, running)

    def _check(self, now: float, arrived: int) -> None:
        """Conservation: every user is in one place, and every accepted pair is queued, started, or to be queued."""
        counts = self.world.counts
        self._area += float(counts[IN_FLIGHT]) * TICK_S
        placed = counts[AWAY] + counts[IN_FLIGHT] + counts[WAITING] + counts[ACCEPTED] + counts[GIVEN_UP]
        renders = counts[UNQUEUED] + counts[STARTED] + counts[QUEUED]
        if placed != self._count or counts[AWAY] != self._count - arrived or renders < counts[ACCEPTED]:
            raise Broken(f"second {now:.2f}: {counts.tolist()} do not add up to {self._count} users")
        nodes, load = self.world.nodes, self.world.lbs["load"]
        if nodes["requests"].sum() > counts[IN_FLIGHT] or (nodes["held"] < 0).any() or (load < 0).any():
            raise Broken(f"second {now:.2f}: more uploads in nodes than in flight, or less than nothing held")

    def _check_little(self) -> None:
        """Little's law: the uploads in flight over time are the sum of their stays."""
        stays = float(self.world.flows[STAY])
        if abs(self._area - stays) > LITTLE_PART * stays + TICK_S * self._count / 2:
            raise Broken(f"Little's law: {self._area:.1f} upload seconds in flight, {stays:.1f} by their stays")

    def _acts(self, faults: Sequence[Fault]) -> list[tuple[float, Callable[[float], None]]]:
        acts: list[tuple[float, Callable[[float], None]]] = []
        for fault in faults:
            if fault.kind == "scaler":
                self.scaler.away.append((fault.at_s, fault.until_s))
                continue
            begin, end = _PAIRS[fault.kind]
            number = self._known(fault)
            acts.append((fault.at_s, lambda now, f=begin, n=number, u=fault.until_s: f(self, n, now, u)))  # type: ignore[misc]
            acts.append((fault.until_s, lambda now, f=end, n=number, u=fault.until_s: f(self, n, now, u)))  # type: ignore[misc]
        return acts

    def _known(self, fault: Fault) -> int:
        hosts = self.made.hosts
        there = {
            "node": len(hosts.of["node"]),
            "zone": max(hosts.zones) + 1,
            "redis": len(hosts.of["redis"]),
            "store": 1,
        }
        if fault.number >= there[fault.kind]:
            raise BenchError(f"--fault {fault.kind}:{fault.number}: the fleet has {there[fault.kind]} of these")
        return fault.number

    def lose_node(self, n: int, now: float, _: float) -> None:
        """The node dies: its uploads are lost, balancers find nobody listening."""
        users, world = self.world.users, self.world
        node = self.made.placement.nodes[f"{n:05d}"]
        self.made.placement.note(node, Event.REFUSED, now)
        copy_health(world, self.made.placement)
        mine = np.flatnonzero((users["node"] == n) & ~users["gone"])
        held = set(_list(users["link"], int(world.nodes["wait_first"][n])))
        for i in mine.tolist():
            if users["kind"][i] in {RECEIVED, STORED}:
                if not link.cut(world, i):
                    phones.withdraw(world, i)
            elif i not in held:
                continue
            users["gone"][i] = True
            phones.lose(world, i, n, now)
        self._forget(n)

    def _forget(self, n: int) -> None:
        """The node that starts again knows nothing."""
        nodes, usual = nodes_of(1, Budget(requests_max=1, bytes_max=1))
        for name in (*(rules.COMMITS.names or ()), *(rules.RETURNS.names or ()), *(DESK.names or ())):
            if not name.endswith("s_max") or name == "puts_max":
                self.world.nodes[name][n] = nodes[name][0]
        self.world.usual[n] = usual[0]

    def mend_node(self, n: int, now: float, _: float) -> None:
        """The node listens again; balancers find out by two checks, then it takes its keys bit by bit."""
        self.world.nodes["free"][n] = now
        self._due.append((now + 2 * CHECK_S, lambda at: self._serve(n, at)))
        self._due.sort(key=lambda act: act[0])

    def _serve(self, n: int, now: float) -> None:
        self.made.placement.note(self.made.placement.nodes[f"{n:05d}"], Event.RESTED, now)
        copy_health(self.world, self.made.placement)

    def lose_zone(self, zone: int, now: float, until: float) -> None:
        """All machines of the zone are gone; jobs of its workers run again when their leases end."""
        hosts, lease_s = self.made.hosts, self.made.settings.of("PROCESSORS_LEASE_S")
        gone = {machine for machine, one in enumerate(hosts.zones) if one == zone}
        for lb in (number for number, machine in enumerate(hosts.of["lb"]) if machine in gone):
            self.world.lbs["alive"][lb] = False
        for n in (number for number, machine in enumerate(hosts.of["node"]) if machine in gone):
            self.lose_node(n, now, until)
        for machine in gone:
            for i in self.scaler.forget(machine):
                if not self.world.users["ready"][i] <= now:
                    self.world.users["ready"][i] = np.nan
                    self.world.counts[STARTED] -= 1
                    self.world.counts[UNQUEUED] += 1
                    phones.schedule(self.world, i, now + lease_s, ENQUEUED)

    def mend_zone(self, zone: int, now: float, until: float) -> None:
        """The machines are back; their workers start again when the scaler wants them."""
        hosts = self.made.hosts
        gone = {machine for machine, one in enumerate(hosts.zones) if one == zone}
        for lb in (number for number, machine in enumerate(hosts.of["lb"]) if machine in gone):
            self.world.lbs["alive"][lb] = True
        for n in (number for number, machine in enumerate(hosts.of["node"]) if machine in gone):
            self.mend_node(n, now, until)
        self.scaler.remember([number for number, machine in enumerate(hosts.of["worker"]) if machine in gone])

    def lose_redis(self, shard: int, _: float, until: float) -> None:
        """Posts of the shard are stored and answered; the sweeper queues them after it is back."""
        sweep_s = self.made.settings.of("PROCESSORS_SWEEP_EVERY_S")
        self.world.shard_back[shard] = min(until + sweep_s / 2, len(self.world.head) * TICK_S - 1)

    def slow_store(self, _: int, __: float, ___: float) -> None:
        """The store is ten times as slow, and passes a tenth of the bytes."""
        self.world.numbers[SLOWDOWN] *= STORE_TIMES
        self.world.numbers[LINK_BYTES_S] /= STORE_TIMES

    def mend_store(self, _: int, __: float, ___: float) -> None:
        """The store is as it was."""
        self.world.numbers[SLOWDOWN] /= STORE_TIMES
        self.world.numbers[LINK_BYTES_S] *= STORE_TIMES

    def nothing(self, _: int, __: float, ___: float) -> None:
        """The end of a fault that needs no repair in the model."""


_PAIRS: Final = {
    "node": (Play.lose_node, Play.mend_node),
    "zone": (Play.lose_zone, Play.mend_zone),
    "redis": (Play.lose_redis, Play.nothing),
    "store": (Play.slow_store, Play.mend_store),
}


def _list(link: Indices, first: int) -> list[int]:
    """The users of a chain."""
    found = []
    while first != NOBODY:
        found.append(first)
        first = int(link[first])
    return found
