"""How many processes and machines of each tier a burst needs, and the machines that may be lost.

Pure.
"""

import math
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from ..errors import BenchError
from .aims import Aims
from .bounds import REPLICAS, Bound
from .demand import Series
from .hosts import Host

SENTINELS: Final = 3  # on as many machines at least


class SizeError(BenchError):
    """A machine cannot run a process of a tier; the text says which."""


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """One tier: what the peak needs, and what is planned with the machines that may be lost.

    `needed`: processes by second, without losses; `ratio`: planned processes for each needed one at the peak.
    """

    processes_needed: int
    machines_needed: int
    processes: int
    machines: int
    cores: float  # that work uses at the peak
    needed: Series
    binds: str  # the resource that decided

    @property
    def ratio(self) -> float:
        """Planned processes for each one that the peak needs."""
        return self.processes / self.processes_needed if self.processes_needed else 1.0


def lost(machines: int, aims: Aims) -> int:
    """So many machines that the rest still is `machines`, when the spare ones or one zone are lost."""
    # When one of z zones is lost, the others have (z - 1) / z of the machines.
    with_zone = math.ceil(machines * aims.zones / (aims.zones - 1) - 1e-9) if aims.zones > 1 else machines
    return max(machines + aims.spare, with_zone)


def size(tier: str, bounds: Sequence[Bound], aims: Aims) -> Size:
    """The size of a tier by all its bounds."""
    own = _own(tier, bounds)
    by_process = [bound for bound in own if bound.per == "process"]
    by_machine = [bound for bound in own if bound.per == "machine"]
    # The most that any resource of a process asks for.
    processes = max([1, *(int(bound.count().max()) for bound in by_process)])
    # A machine runs one tier, one process a core at most, because a balancer, a node and a worker's renderer have one
    # thread of work each.
    machines = max([math.ceil(processes / aims.cores), *(_holding(bound, processes, aims) for bound in by_machine)])
    needed = np.max([bound.count() for bound in by_process], axis=0) if by_process else by_machine[0].count()
    if not by_process:  # a store of our own: one process a machine
        processes = machines
    planned = lost(machines, aims)
    # What a machine has to run, so that the machines that are left after a loss run enough.
    each = math.ceil(processes / machines)
    asked = asks(tier, bounds, aims)
    return Size(
        processes_needed=processes,
        machines_needed=machines,
        processes=planned * each,
        machines=planned,
        cores=next((bound.peak for bound in own if bound.resource == "CPU"), 0.0),
        needed=needed,
        binds=max(asked)[1] if asked else "",
    )


def asks(tier: str, bounds: Sequence[Bound], aims: Aims) -> list[tuple[float, str]]:
    """The machines that each resource of a tier asks for, not rounded up, and its name."""
    own = _own(tier, bounds)
    processes = max((bound.peak / bound.each for bound in own if bound.per == "process"), default=0.0)
    return [
        (
            bound.peak / bound.each / aims.cores
            if bound.per == "process"
            else (bound.peak + bound.process * processes) / bound.each,
            bound.resource,
        )
        for bound in own
    ]


def _own(tier: str, bounds: Sequence[Bound]) -> list[Bound]:
    """The bounds that size a tier."""
    own = [bound for bound in bounds if bound.tier == tier and bound.per != "whole"]
    # Shards are counted without their replicas, and only then the machines that hold both.
    return [bound for bound in own if tier != "redis" or bound.resource != "memory"]


def _holding(bound: Bound, processes: int, aims: Aims) -> int:
    """The fewest machines that hold so many processes of it and the burst's need; SizeError if not even one does."""
    if not bound.process:
        return int(bound.count().max())
    most = min(aims.cores, math.floor(bound.each / bound.process + 1e-9), processes)
    if most < 1 or (bound.peak and bound.each <= bound.process):
        raise SizeError(
            f"a process of {bound.tier} needs {bound.process:.6g} {bound.unit} of {bound.resource}, and of a machine's "
            f"{bound.each:.6g} {bound.unit} may be used"
        )
    if not bound.peak:
        return math.ceil(processes / most)

    # With k processes on each: processes / k machines for them, and need / (each - k process) for the burst. The first
    # falls with k and the second rises, so the fewest machines are on either side of where they cross.
    def machines(k: int) -> float:
        left = bound.each - k * bound.process
        return max(processes / k, bound.peak / left if left > 0 else math.inf)

    cross = math.floor(processes * bound.each / (bound.peak + processes * bound.process))
    return math.ceil(min(machines(min(max(k, 1), most)) for k in (cross, cross + 1)) - 1e-9)


def redis(bounds: Sequence[Bound], aims: Aims) -> Size:
    """The shards of Redis, each with a replica; at least three machines, for three Sentinels."""
    alone = size("redis", bounds, msgspec.structs.replace(aims, spare=0, zones=0))
    processes = alone.processes_needed * REPLICAS
    held = [_holding(bound, processes, aims) for bound in bounds if (bound.tier, bound.resource) == ("redis", "memory")]
    # A replica on another machine than its primary.
    machines = max([SENTINELS, math.ceil(processes / aims.cores), *held])
    return msgspec.structs.replace(alone, processes=processes, machines=machines)


def host(tier: str, found: Size, aims: Aims) -> Host:
    """The machines of a tier."""
    each = math.ceil(found.processes / found.machines)
    return Host(
        count=found.machines,
        cores=float(aims.cores),
        memory_gib=aims.memory_gib,
        nic_gbit=aims.nic_gbit,
        processes={tier: each},
    )
