"""What a fault does to a simulated burst when it begins and ends, and who finds out.

Between two ticks, so in Python. Nobody is lost or doubled: `run.py` checks that after each tick.
"""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from ingest.admission import Budget
from lb.placement.health import Event

from ..errors import BenchError
from . import link, phones, rules
from .building import TICK_S, Made, copy_health
from .faults import STORE_TIMES, Fault
from .rendering import COMPLETE
from .scaler import Scaler
from .world import (
    DEGRADED,
    DESK,
    ENQUEUED,
    JOB_CLASSES,
    LEASED,
    LINK_BYTES_S,
    NOBODY,
    QUEUED,
    RECEIVED,
    SENT,
    SLOWDOWN,
    STARTED,
    STORED,
    UNQUEUED,
    WORKERS,
    Indices,
    World,
    nodes_of,
)

CHECK_S: Final = 0.5  # a balancer's check of a node that is not healthy; two passed checks bring it back
AGAIN_S: Final = 1.0  # after which a node reports posts again that Redis did not take (`ingest/announcing.py`)
Act = tuple[float, Callable[[float], None]]


class Breaking:
    """The faults of one burst."""

    def __init__(self, made: Made, scaler: Scaler) -> None:
        self._made, self._world, self._scaler = made, made.world, scaler
        self._due: list[Act] = []
        self._down: dict[int, float] = {}  # until when a shard is away
        self._held: dict[int, list[list[int]]] = {}  # by shard and job class: users whose jobs nobody can claim

    def plan(self, faults: Sequence[Fault]) -> None:
        """From now on, let these happen; BenchError when the fleet has not what one of them breaks."""
        self._due = sorted(self._acts(faults), key=_when)

    def act(self, now: float) -> None:
        """Begin and end what is due."""
        while self._due and self._due[0][0] <= now:
            self._due.pop(0)[1](now)

    def _acts(self, faults: Sequence[Fault]) -> list[Act]:
        acts: list[Act] = []
        for fault in faults:
            if fault.kind == "scaler":
                self._scaler.away.append((fault.at_s, fault.until_s))
                continue
            begin, end = _PAIRS[fault.kind]
            number = self._known(fault)
            acts.append((fault.at_s, lambda now, f=begin, n=number, u=fault.until_s: f(self, n, now, u)))  # type: ignore[misc]
            acts.append((fault.until_s, lambda now, f=end, n=number, u=fault.until_s: f(self, n, now, u)))  # type: ignore[misc]
        return acts

    def _known(self, fault: Fault) -> int:
        hosts = self._made.hosts
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
        users, world = self._world.users, self._world
        node = self._made.placement.nodes[f"{n:05d}"]
        self._made.placement.note(node, Event.REFUSED, now)
        copy_health(world, self._made.placement)
        mine = np.flatnonzero((users["node"] == n) & ~users["gone"])
        held = set(_list(users["link"], int(world.nodes["wait_first"][n])))
        for i in mine.tolist():
            if users["kind"][i] in {RECEIVED, SENT, STORED}:
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
                self._world.nodes[name][n] = nodes[name][0]
        self._world.usual[n] = usual[0]

    def mend_node(self, n: int, now: float, _: float) -> None:
        """The node listens again; balancers find out by two checks, then it takes its keys bit by bit."""
        self._world.nodes["free"][n] = now
        self._due.append((now + 2 * CHECK_S, lambda at: self._serve(n, at)))
        self._due.sort(key=_when)

    def _serve(self, n: int, now: float) -> None:
        self._made.placement.note(self._made.placement.nodes[f"{n:05d}"], Event.RESTED, now)
        copy_health(self._world, self._made.placement)

    def lose_zone(self, zone: int, now: float, until: float) -> None:
        """All machines of the zone are gone; jobs of its workers run again when their leases end."""
        hosts, lease_s = self._made.hosts, self._made.settings.of("PROCESSORS_LEASE_S")
        gone = {machine for machine, one in enumerate(hosts.zones) if one == zone}
        for lb in (number for number, machine in enumerate(hosts.of["lb"]) if machine in gone):
            self._world.lbs["alive"][lb] = False
        for n in (number for number, machine in enumerate(hosts.of["node"]) if machine in gone):
            self.lose_node(n, now, until)
        for machine in gone:
            for i in self._scaler.forget(machine):
                if not self._world.users["ready"][i] <= now:
                    self._again(i, now + lease_s)

    def _again(self, i: int, at: float) -> None:
        """The user's render, which had begun, begins anew: queued then."""
        world = self._world
        # Without a limited link, a pair that is rendered without `full` already waits to be completed.
        if i in (queued := chain(world, COMPLETE)):
            queued.remove(i)
            rechain(world, COMPLETE, queued)
            world.counts[[QUEUED, DEGRADED]] -= 1
        for held in self._held.values():
            if i in held[COMPLETE]:
                held[COMPLETE].remove(i)
                world.counts[[UNQUEUED, DEGRADED]] -= 1
        world.users["ready"][i] = np.nan
        world.counts[STARTED] -= 1
        world.counts[UNQUEUED] += 1
        phones.schedule(world, i, at, ENQUEUED)

    def mend_zone(self, zone: int, now: float, until: float) -> None:
        """The machines are back; their workers start again when the scaler wants them."""
        hosts = self._made.hosts
        gone = {machine for machine, one in enumerate(hosts.zones) if one == zone}
        for lb in (number for number, machine in enumerate(hosts.of["lb"]) if machine in gone):
            self._world.lbs["alive"][lb] = True
        for n in (number for number, machine in enumerate(hosts.of["node"]) if machine in gone):
            self.mend_node(n, now, until)
        self._scaler.remember([number for number, machine in enumerate(hosts.of["worker"]) if machine in gone])

    def lose_redis(self, shard: int, now: float, until: float) -> None:
        """Posts of the shard are stored and answered, but not queued; workers claim none of its jobs, ahead neither.

        Jobs in hand are finished. The autoscaler cannot measure, and decides nothing.
        """
        world = self._world
        self._scaler.away.append((now, until))
        self._down[shard] = max(self._down.get(shard, 0.0), until)
        back = min(self._down[shard] + AGAIN_S, len(world.head) * TICK_S - 1)
        world.shard_back[shard] = back
        world.workers["batch"], world.counts[LEASED] = 0, 0
        held = self._held.setdefault(shard, [[] for _ in range(JOB_CLASSES)])
        for job_class in range(JOB_CLASSES):
            queued = chain(world, job_class)
            mine = [i for i in queued if world.users["slot"][i] % len(world.shard_back) == shard]
            others = [i for i in queued if world.users["slot"][i] % len(world.shard_back) != shard]
            rechain(world, job_class, others)
            held[job_class] += mine
            world.counts[QUEUED] -= len(mine)
            world.counts[UNQUEUED] += len(mine)

    def mend_redis(self, shard: int, now: float, _: float) -> None:
        """Its jobs can be claimed again, each in the place that it had; nodes report the others (`AGAIN_S`)."""
        world = self._world
        if self._down[shard] > now:
            return
        # A worker without a job claims one now, and not when it was free.
        there = world.heap[: world.counts[WORKERS]]
        world.workers["free"][there] = np.maximum(world.workers["free"][there], now)
        for job_class, mine in enumerate(self._held.pop(shard)):
            queued = sorted([*mine, *chain(world, job_class)], key=lambda i: float(world.users["at"][i]))
            rechain(world, job_class, queued)
            world.counts[QUEUED] += len(mine)
            world.counts[UNQUEUED] -= len(mine)

    def slow_store(self, _: int, __: float, ___: float) -> None:
        """The store is ten times as slow, and passes a tenth of the bytes."""
        self._world.numbers[SLOWDOWN] *= STORE_TIMES
        self._world.numbers[LINK_BYTES_S] /= STORE_TIMES

    def mend_store(self, _: int, __: float, ___: float) -> None:
        """The store is as it was."""
        self._world.numbers[SLOWDOWN] /= STORE_TIMES
        self._world.numbers[LINK_BYTES_S] *= STORE_TIMES


_PAIRS: Final = {
    "node": (Breaking.lose_node, Breaking.mend_node),
    "zone": (Breaking.lose_zone, Breaking.mend_zone),
    "redis": (Breaking.lose_redis, Breaking.mend_redis),
    "store": (Breaking.slow_store, Breaking.mend_store),
}


def _list(link: Indices, first: int) -> list[int]:
    """The users of a chain."""
    found = []
    while first != NOBODY:
        found.append(first)
        first = int(link[first])
    return found


def chain(w: World, job_class: int) -> list[int]:
    """The users whose jobs of this class are queued, in order."""
    return _list(w.users["link"], int(w.jobs[job_class, 0]))


def rechain(w: World, job_class: int, queued: Sequence[int]) -> None:
    """Make these the queue of the class."""
    ends = [*queued, NOBODY]
    w.users["link"][np.array(queued, np.int64)] = ends[1:]
    w.jobs[job_class] = ends[0], queued[-1] if queued else NOBODY


def _when(act: Act) -> float:
    return act[0]
