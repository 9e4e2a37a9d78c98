"""How many processes and machines of each tier a burst needs, and the machines that may be lost.

Pure.
"""

import math
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from .aims import Aims
from .bounds import Bound
from .demand import Series
from .hosts import Host

REPLICAS: Final = 2  # a primary and a replica, for Sentinel to fail over to
SENTINELS: Final = 3  # on as many machines at least


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
    own = [bound for bound in bounds if bound.tier == tier and bound.per != "whole"]
    by_process = [bound for bound in own if bound.per == "process"]
    by_machine = [bound for bound in own if bound.per == "machine"]
    # The most that any resource of a process asks for.
    processes = max([1, *(int(bound.count().max()) for bound in by_process)])
    # A machine runs one tier, one process a core at most, because a balancer, a node and a worker's renderer have one
    # thread of work each.
    machines = max([math.ceil(processes / aims.cores), *(int(bound.count().max()) for bound in by_machine)])
    needed = np.max([bound.count() for bound in by_process], axis=0) if by_process else by_machine[0].count()
    if not by_process:  # a store of our own: one process a machine
        processes = machines
    planned = lost(machines, aims)
    # What a machine has to run, so that the machines that are left after a loss run enough.
    each = math.ceil(processes / machines)
    machines_by = [(b.peak / b.each / (aims.cores if b.per == "process" else 1), b.resource) for b in own]
    return Size(
        processes_needed=processes,
        machines_needed=machines,
        processes=planned * each,
        machines=planned,
        cores=next((bound.peak for bound in own if bound.resource == "CPU"), 0.0),
        needed=needed,
        binds=max(machines_by)[1] if machines_by else "",
    )


def redis(bounds: Sequence[Bound], aims: Aims) -> Size:
    """The shards of Redis, each with a replica; at least three machines, for three Sentinels."""
    alone = size("redis", bounds, msgspec.structs.replace(aims, spare=0, zones=0))
    # A replica on another machine than its primary.
    machines = max(SENTINELS, math.ceil(alone.processes_needed * REPLICAS / aims.cores))
    return msgspec.structs.replace(alone, processes=alone.processes_needed * REPLICAS, machines=machines)


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
