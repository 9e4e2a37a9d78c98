"""The plan of a burst: every tier's size, its ladder, what binds first, money; and whether a given fleet takes it.

`plan` composes the modules beside it. Its result is what `plan --json` prints. Pure.
"""

import math
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np

from .aims import Aims
from .bounds import TIERS, Bound, Loads, bounds, heartbeats, loads, tiers_of
from .costs import Costs
from .demand import Demand, Uploads, demand
from .hosts import Binding, Host, Hosts, bindings, largest, processes
from .ladder import Climb, Step, buffer, steps
from .prices import DAY_H, Money, Prices, money
from .sizing import Size, asks, host, redis, size

SETTLED: Final = 0.99  # of all pairs: from when they have been received, the burst is draining
TIMES: Final = 1.5  # "does it take half as much again"


class Tier(msgspec.Struct, frozen=True, kw_only=True):
    """One tier: machines and processes at second 0, at the peak and while draining; what decides; its start.

    `memory_gib`: of all planned processes, and what the burst adds to it.
    """

    machines: int
    processes: int
    cpu_cores: float
    at_0: int
    at_peak: int
    draining: int
    binds: str
    memory_gib: float
    nic_gbit: float
    files: int
    lead_s: float
    buffer: int


class Shards(msgspec.Struct, frozen=True, kw_only=True):
    """Redis: shards, each with a replica; `memory_gib` is that of all of them."""

    shards: int
    machines: int
    cpu_cores: float
    memory_gib: float
    binds: str


class Store(msgspec.Struct, frozen=True, kw_only=True):
    """The store at the peak, in a day and in a year; machines if it is our own, else None."""

    machines: int | None
    cpu_cores: float
    write_mb_s: float
    read_mb_s: float
    puts_s: float
    gets_s: float
    prefixes: int
    gb_day: float
    gb_year: float


class Burst(msgspec.Struct, frozen=True, kw_only=True):
    """The burst in a few figures."""

    pairs: float
    pairs_s_peak: float
    received_s_peak: float
    mb_s_peak: float
    in_flight_peak: float
    held_mb_peak: float
    mean_pair_kb: float
    received_s: int
    waited_s: int
    drained_s: int


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a given fleet takes: the largest burst of this shape as a multiple and in pairs, and what binds it."""

    largest: float
    largest_pairs: float
    takes_it: bool
    takes_half_more: bool
    binding: tuple[Binding, ...]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What `plan --json` prints, without the inputs, which the verb knows."""

    burst: Burst
    tiers: dict[str, Tier | Shards | Store]
    binding: tuple[Binding, ...]
    largest: float
    ladder: tuple[Step, ...]
    money: Money
    hosts: dict[str, Host]
    target: Answer | None = None


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a plan follows from."""

    uploads: Uploads
    costs: Costs
    aims: Aims
    prices: Prices | None = None


def plan(case: Case, target: Hosts | None = None) -> Plan:
    """The plan; with a target also what those machines take."""
    asked = demand(case.uploads)
    work = loads(asked, case.costs, case.aims)
    found = bounds(asked, work, case.costs, case.aims)
    sizes = sized(found, case.aims)
    hosts = {tier: host(tier, one, case.aims) for tier, one in sizes.items()}
    climbs = {tier: _climb(tier, sizes[tier], case) for tier in ("lb", "node", "worker")}
    ladder = steps(climbs)
    draining = min(int(np.searchsorted(np.cumsum(asked.received), asked.pairs * SETTLED)) + 1, asked.seconds)
    tiers: dict[str, Tier | Shards | Store] = {
        tier: _tier(tier, sizes[tier], found, climbs[tier], ladder, draining) for tier in climbs
    }
    tiers["redis"] = Shards(
        shards=sizes["redis"].processes_needed,
        machines=sizes["redis"].machines,
        cpu_cores=sizes["redis"].cores,
        memory_gib=_memory_gib(found, "redis", sizes["redis"]),
        binds=sizes["redis"].binds,
    )
    tiers["store"] = _store(asked, work, found, sizes, case)
    own = bindings([*found, _beats(hosts, case)], hosts, case.aims)
    return Plan(
        burst=_burst(asked, work),
        tiers=tiers,
        binding=own,
        largest=largest(own),
        ladder=ladder,
        money=money(_quantities(tiers, ladder, asked, work, case), case.prices, case.aims.moments_a_day),
        hosts=hosts,
        target=None if target is None else answer(asked, found, target, case),
    )


def sized(found: tuple[Bound, ...], aims: Aims) -> dict[str, Size]:
    """The size of each tier that runs on machines of ours."""
    sizes = {tier: size(tier, found, aims) for tier in ("lb", "node", "worker")}
    sizes["redis"] = redis(found, aims)
    if any(bound.tier == "store" and bound.per == "machine" for bound in found):
        sizes["store"] = size("store", found, aims)
    return sizes


def answer(asked: Demand, found: tuple[Bound, ...], target: Hosts, case: Case) -> Answer:
    """What these machines take of a burst of this shape."""
    own = bindings([*found, _beats(target, case)], target, case.aims)
    times = largest(own)
    return Answer(
        largest=times,
        largest_pairs=times * asked.pairs,
        takes_it=times >= 1,
        takes_half_more=times >= TIMES,
        binding=own,
    )


def cores(case: Case, asked: Demand) -> float:
    """The one number that sensitivities compare: cores of all tiers at their peaks, with what is left unused."""
    found = bounds(asked, loads(asked, case.costs, case.aims), case.costs, case.aims)
    machines = (max(asks(tier, found, case.aims), default=(0.0, ""))[0] for tier in TIERS)
    return sum(machines) * case.aims.cores


def _beats(hosts: Hosts, case: Case) -> Bound:
    count = sum(processes(hosts, tier) for tier in ("lb", "node", "worker"))
    return heartbeats(case.costs, count, case.aims)


def _climb(tier: str, found: Size, case: Case) -> Climb:
    start_s = tiers_of(case.costs, case.aims)[0][tier].start_s
    return Climb(
        needed=found.needed, ratio=found.ratio, lead_s=case.aims.machine_start_s + start_s + case.aims.margin_s
    )


def _tier(
    tier: str, found: Size, every: tuple[Bound, ...], climb: Climb, ladder: tuple[Step, ...], draining: int
) -> Tier:
    at_0 = [step.count for step in ladder if step.tier == tier and step.at_s <= 0]
    after = found.needed[draining:]
    left = math.ceil(float(after.max()) * found.ratio - 1e-9) if len(after) else 0
    return Tier(
        machines=found.machines,
        processes=found.processes,
        cpu_cores=found.cores,
        at_0=at_0[-1] if at_0 else 0,
        at_peak=found.processes,
        draining=min(left, found.processes),
        binds=found.binds,
        memory_gib=_memory_gib(every, tier, found),
        nic_gbit=_peak(every, tier, "network"),
        files=math.ceil(_peak(every, tier, "file descriptors")),
        lead_s=climb.lead_s,
        buffer=buffer(found.needed, climb.lead_s),
    )


def _memory_gib(every: tuple[Bound, ...], tier: str, found: Size) -> float:
    bound = next(bound for bound in every if (bound.tier, bound.resource) == (tier, "memory"))
    return (bound.peak + bound.process * found.processes) / 1024


def _peak(every: tuple[Bound, ...], tier: str, resource: str) -> float:
    return max([0.0, *(bound.peak for bound in every if (bound.tier, bound.resource) == (tier, resource))])


def _store(asked: Demand, work: Loads, every: tuple[Bound, ...], sizes: Mapping[str, Size], case: Case) -> Store:
    _, stores = tiers_of(case.costs, case.aims)
    puts, gets = _peak(every, "store", "PUT requests"), _peak(every, "store", "GET requests")
    mean_mb = asked.mean_bytes / 1e6
    received, drained = np.zeros(len(work.drained)), work.drained
    received[: asked.seconds] = asked.received
    write = (received + drained * max(0.0, stores.written_share - 1)) * mean_mb
    read = drained * stores.read_share * mean_mb + work.views * case.aims.view_kb / 1000
    by_prefix = max(puts / case.aims.prefix_puts_s, gets / case.aims.prefix_gets_s)
    gb_day = asked.pairs * asked.mean_bytes / 1e9 * stores.written_share * case.aims.moments_a_day
    return Store(
        machines=sizes["store"].machines if "store" in sizes else None,
        cpu_cores=_peak(every, "store", "CPU"),
        write_mb_s=float(write.max()),
        read_mb_s=float(read.max()),
        puts_s=puts,
        gets_s=gets,
        prefixes=max(1, math.ceil(by_prefix - 1e-9)),
        gb_day=gb_day,
        gb_year=gb_day * 365,
    )


def _burst(asked: Demand, work: Loads) -> Burst:
    return Burst(
        pairs=asked.pairs,
        pairs_s_peak=float(asked.begun.max()),
        received_s_peak=float(asked.received.max()),
        mb_s_peak=float(asked.mb.max()),
        in_flight_peak=float(asked.in_flight.max()),
        held_mb_peak=float(asked.held_mb.max()),
        mean_pair_kb=asked.mean_bytes / 1000,
        received_s=asked.seconds,
        waited_s=work.waited_s,
        drained_s=work.drained_s,
    )


def _quantities(
    tiers: Mapping[str, Any], ladder: tuple[Step, ...], asked: Demand, work: Loads, case: Case
) -> dict[str, float]:
    """What of every item a moment uses."""
    _, stores = tiers_of(case.costs, case.aims)
    day_h = DAY_H / case.aims.moments_a_day
    found = {}
    for tier in ("lb", "node", "worker"):
        times = [step.at_s for step in ladder if step.tier == tier]
        found[f"{tier}_machine_hour"] = tiers[tier].machines * (times[-1] - times[0]) / 3600 if times else 0.0
    found["redis_machine_hour"] = tiers["redis"].machines * day_h
    if tiers["store"].machines is not None:
        found["store_machine_hour"] = tiers["store"].machines * day_h
    views = float(work.views.sum())
    found["store_put_1000"] = asked.pairs * stores.puts_per_pair / 1000
    found["store_get_1000"] = (asked.pairs * (stores.requests_per_pair - stores.puts_per_pair) + views) / 1000
    found["store_gb_month"] = asked.pairs * asked.mean_bytes / 1e9 * stores.written_share
    found["traffic_out_gb"] = views * case.aims.view_kb / 1e6
    return found
