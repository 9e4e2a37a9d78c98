"""Machines by kind, and how far a burst fills them: which resource binds first, which next, and how far behind.

The headroom of a resource is what there is of it, divided by what the burst needs of it at its peak: at 1 it is full,
at 1.5 it takes half as much again. Pure.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from .aims import Aims
from .bounds import Bound

SHARED: Final = {"CPU": "cores", "memory": "MiB", "network": "Gbit/s"}  # what processes of one machine share
EPSILON: Final = 1e-9


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """So many equal machines: cores, memory and network of each, and how many processes of each tier run on it."""

    count: int
    cores: float
    memory_gib: float | None = None
    nic_gbit: float | None = None
    processes: dict[str, int]


Hosts = Mapping[str, Host]


class Binding(msgspec.Struct, frozen=True, kw_only=True):
    """A resource, what there is of it (`limit`) and what the burst needs (`need`) in `unit`, and its headroom."""

    resource: str
    limit: float
    need: float
    unit: str
    headroom: float
    fixed: bool = False


def processes(hosts: Hosts, tier: str) -> int:
    """Processes of a tier on all machines."""
    return sum(host.count * host.processes.get(tier, 0) for host in hosts.values())


def machines(hosts: Hosts, tier: str) -> int:
    """Machines that run a tier."""
    return sum(host.count for host in hosts.values() if host.processes.get(tier, 0))


def bindings(bounds: Iterable[Bound], hosts: Hosts, aims: Aims) -> tuple[Binding, ...]:
    """Every resource with its headroom on these machines, the fullest first. A tier without a process has none."""
    every = list(bounds)
    found = []
    for bound in every:
        has = {"process": processes(hosts, bound.tier), "machine": machines(hosts, bound.tier), "whole": 1}[bound.per]
        if bound.per == "machine" and bound.resource in SHARED:
            continue  # counted by machine below
        if bound.tier == "store" and not machines(hosts, "store") and bound.per != "whole":
            continue  # somebody else's store: only its quotas bind
        found.append(_binding(bound.name, has * bound.each, bound.peak, bound.unit, fixed=bound.fixed))
    for name, host in hosts.items():
        found += _shared(name, host, hosts, every, aims)
    return tuple(sorted((one for one in found if one.need > EPSILON), key=lambda one: one.headroom))


def _shared(name: str, host: Host, hosts: Hosts, bounds: Sequence[Bound], aims: Aims) -> Iterable[Binding]:
    """Cores, memory and network of one kind of machine, for all that runs on it."""
    there = {
        "CPU": host.cores * aims.utilisation,
        "memory": None if host.memory_gib is None else host.memory_gib * 1024 * aims.utilisation,
        "network": None if host.nic_gbit is None else host.nic_gbit * aims.utilisation,
    }
    for resource, unit in SHARED.items():
        each = there[resource]
        if each is None:
            continue
        need = started = 0.0
        for bound in bounds:
            if (bound.resource, bound.unit) != (resource, unit):
                continue
            here, whole = host.count * host.processes.get(bound.tier, 0), processes(hosts, bound.tier)
            started += here * bound.process
            # Peaks of tiers that share a machine are added, as if they came together, which is on the safe side.
            need += bound.peak * here / whole if whole else 0.0
        limit = host.count * each
        # What programs hold without work does not grow with the burst, which has the rest.
        yield _binding(f"{name} machines' {resource}, no load", limit, started, unit, fixed=True)
        yield _binding(f"{name} machines' {resource}", max(limit - started, 0.0), need, unit)


def _binding(resource: str, limit: float, need: float, unit: str, *, fixed: bool = False) -> Binding:
    headroom = limit / need if need > EPSILON else float("inf")
    return Binding(resource=resource, limit=limit, need=need, unit=unit, headroom=headroom, fixed=fixed)


def largest(found: Sequence[Binding]) -> float:
    """The largest burst of this shape, as a multiple of it; 0 if the fleet cannot even keep itself running."""
    # A fixed need is of the fleet: no burst is small enough for it.
    if any(one.fixed and one.headroom < 1 for one in found):
        return 0.0
    # All other needs grow with the burst's size, so the least headroom is the largest burst of the same shape.
    return min(one.headroom for one in found if not one.fixed)
