"""Small costs, fleets and bursts for tests of the simulation."""

from typing import Any

import numpy as np

from bench.capacity.costs import Costs, Line, Stores, Tier
from bench.config import Config
from bench.simulation.arrivals import Arrivals
from bench.simulation.fleet import Fleet, Machines
from bench.simulation.run import Play


def tier(fixed_ms: float, **more: Any) -> Tier:
    """A process that costs so much a pair."""
    return Tier(upload=Line(fixed_ms=fixed_ms), process_mib=50, start_s=1.0, **more)


def costs(
    *, node_ms: float = 1.0, render_ms: float = 50.0, spread: tuple[float, ...] = (), put_ms: float = 2.0
) -> Costs:
    """Round numbers; `spread` is the distribution of a render."""
    render = Line(fixed_ms=render_ms, spread=spread)
    worker = Tier(upload=Line(fixed_ms=0.0), drain=render, process_mib=90, start_s=1.0)
    stores = Stores(
        node=tier(node_ms),
        worker=worker,
        requests_per_pair=3.0,
        put_ms=(put_ms, put_ms),
        render_s=(render_ms / 1000,) * 2,
    )
    return Costs(
        measured_at="2026-11-30T00:00:00Z",
        machine={"cpus": 2},
        code="0123",
        lb=tier(0.1),
        lb_tls=tier(0.4),
        redis=tier(0.0, drain=Line(fixed_ms=0.0)),
        stores={"file": stores},
        media_share=0.5,
        heartbeat_cores=0.0,
        redis_pair_kib=1.0,
    )


def fleet(*, nodes: int = 3, lbs: int = 2, workers: int = 2, **more: Any) -> Fleet:
    """Each tier on machines of its own, with a core for each process; the ring is small."""
    settings = {"SNAPSURGE_LB_RING_SLOTS": "4096", **more.pop("settings", {})}
    machines = {
        "front": Machines(count=lbs, cores=1, lb=1),
        "node": Machines(count=nodes, cores=1, node=1),
        "worker": Machines(count=workers, cores=1, worker=1),
    }
    return Fleet(machines=machines, store="file", settings=settings, **more)


def poisson(rate: float, count: int, *, send_s: float = 1.0, size: int = 100_000, seed: int = 1) -> Arrivals:
    """Arrivals at random at this rate, all alike."""
    arrives = np.cumsum(np.random.default_rng(seed).exponential(1 / rate, count))
    return Arrivals(
        arrives, np.full(count, size, np.int32), np.full(count, send_s, np.float32), [f"u{n}" for n in range(count)]
    )


def here(*, cores: float = 2, workers: int = 2, lbs: int = 1, nodes: int = 1, **more: Any) -> Fleet:
    """One machine that runs everything."""
    machines = {"here": Machines(cores=cores, lb=lbs, node=nodes, worker=workers, redis=1)}
    return Fleet(machines=machines, store="file", settings=fleet().settings | more.pop("settings", {}), **more)


def play(arrivals: Arrivals, *, of: Fleet | None = None, cost: Costs | None = None, seed: int = 1, **more: Any) -> Play:
    """The burst, ready to be played."""
    return Play(of or fleet(), cost or costs(), arrivals, more.pop("window_s", 1e6), Config(**more), seed)
