"""What a burst needs of every resource, second by second, and how much of it one process or one machine has.

Pure.
"""

import math
from typing import Final

import msgspec
import numpy as np

from .aims import Aims
from .costs import Costs, CostsError, Line, Stores, Tier
from .demand import Demand, Series
from .drain import backlog_s, done_s, needed_from

# Network is counted one way, with 6 % for headers: 1,448 bytes of payload in 1,538 on the wire.
WIRE: Final = 1538 / 1448
# A node's memory is counted twice, because bytes wait in socket buffers too (`ingest/memory.py`).
COPIES: Final = 2
WAITS_S: Final = 1e-6  # of CPU: less is a rounding error
NODE_FILES: Final = 256  # connections to the store, to Redis, to balancers' health checks
REPLICAS: Final = 2  # of a shard of Redis: a primary and a replica, for Sentinel to fail over to
FILES_PER_UPLOAD: Final = {"lb": 2, "node": 1}  # a balancer has one to the phone and one to the node
DRAINING: Final = {"redis", "store"}  # beside the workers; what others spend meanwhile is noise
TIERS: Final = ("lb", "node", "worker", "redis", "store")


class Bound(msgspec.Struct, frozen=True, kw_only=True):
    """One resource of one tier: the need by second, and what one process or machine has of it.

    `per`: `process`, `machine`, or `whole` for what more machines do not increase. `fixed`: a need of the fleet, not of
    the burst. `process`: what every started process needs of it beside the burst's need, whether it works or not.
    """

    tier: str
    resource: str
    unit: str
    need: Series
    each: float
    per: str
    fixed: bool = False
    process: float = 0.0

    @property
    def peak(self) -> float:
        """The largest need in any second, in the resource's unit."""
        return float(self.need.max())

    @property
    def name(self) -> str:
        """What a reader calls it."""
        return f"{self.tier} {self.resource}"

    def count(self) -> Series:
        """So many processes or machines are needed in each second."""
        found: Series = np.ceil(self.need / self.each - 1e-9)
        return found


class Loads(msgspec.Struct, frozen=True, kw_only=True):
    """A burst as work: CPU cores of each tier and pairs drained, by second; all of one length."""

    cores: dict[str, Series]
    drained: Series  # pairs that become ready
    views: Series  # pictures read
    worker_cores: float  # the least constant number
    waited_s: int  # from this second on no pair waits for a worker
    drained_s: int  # the second at whose end everything is ready
    render_share: float  # CPU seconds of a pair in a worker


def tiers_of(costs: Costs, aims: Aims) -> tuple[dict[str, Tier], Stores]:
    """The measured tiers for this kind of store and of connection; CostsError names what was not measured."""
    if aims.store not in costs.stores:
        raise CostsError(f"the costs have no store {aims.store!r}, they have {', '.join(sorted(costs.stores))}")
    stores = costs.stores[aims.store]
    front = costs.lb_tls if aims.tls else costs.lb
    if front.read is None:  # pictures were read without TLS only: the rest of it is what is known
        front = msgspec.structs.replace(front, read=costs.lb.read)
    found = {"lb": front, "node": stores.node, "worker": stores.worker}
    found["redis"] = costs.redis
    if stores.store is not None:
        found["store"] = stores.store
    return found, stores


def loads(demand: Demand, costs: Costs, aims: Aims) -> Loads:
    """The work of a burst."""
    tiers, _ = tiers_of(costs, aims)
    render = tiers["worker"].drain
    if render is None:
        raise CostsError(f"the costs of the worker on {aims.store} have no drain")
    pair_mb = demand.mean_bytes / 1e6
    render_s = render.ms(demand.mean_bytes) / 1000
    work = demand.received * render_s
    from_second = needed_from(work, aims.ready_s)
    # The workers' number is the drain's least constant one (drain.py) until nothing waits; then what still comes needs.
    worker_cores = float(from_second[0])  # the most that any second needs
    done = done_s(work, worker_cores)
    waiting = np.flatnonzero(backlog_s(work, done) > WAITS_S)
    waited_s = int(waiting[-1]) + 1 if len(waiting) else 0
    drained = done / render_s if render_s else done
    seconds = max(len(drained), demand.seconds + math.ceil(aims.views_s))
    views = np.zeros(seconds)
    views[: demand.seconds + math.ceil(aims.views_s)] = _views(demand, aims)

    def long(series: Series) -> Series:
        return np.concatenate((series, np.zeros(seconds - len(series))))

    received, mb, ready = long(demand.received), long(demand.mb), long(drained)
    cores = {}
    for name, tier in tiers.items():
        if name == "worker":
            cores[name] = long(_workers(len(done), waited_s, from_second))
            continue
        # CPU of a tier at the second in which the work is done, by its measured lines. A balancer works from the begin
        # of an upload (new connection, TLS), a node and Redis when it is received.
        begun = long(demand.begun) if name == "lb" else received
        drain = tier.drain if name in DRAINING else None
        # uploads * fixed + MB received * per MB, the drain of pairs that become ready, and pictures read
        total = _cores(tier.upload, begun, mb) + _per_pair(drain, ready, pair_mb)
        cores[name] = total + _per_pair(tier.read, views, aims.view_kb / 1000)
    return Loads(
        cores=cores,
        drained=ready,
        views=views,
        worker_cores=worker_cores,
        waited_s=waited_s,
        drained_s=len(drained),
        render_share=render_s,
    )


def _workers(seconds: int, waited_s: int, from_second: Series) -> Series:
    """The cores of workers by second: all of them as long as work waits, then what still comes needs."""
    later = np.zeros(seconds)
    later[: len(from_second)] = from_second
    later[:waited_s] = from_second[0]
    return later


def _views(demand: Demand, aims: Aims) -> Series:
    """Pictures read: those of each pair evenly over `views_s` seconds from its receipt."""
    span = math.ceil(aims.views_s)
    return np.convolve(demand.received, np.full(span + 1, aims.views / (span + 1)))[: demand.seconds + span]


def _cores(line: Line, pairs: Series, mb: Series) -> Series:
    return (pairs * line.fixed_ms + mb * line.mb_ms) / 1000


def _per_pair(line: Line | None, count: Series, mb: float) -> Series:
    return count * (line.ms(mb * 1e6) / 1000 if line else 0.0)


def bounds(demand: Demand, work: Loads, costs: Costs, aims: Aims) -> tuple[Bound, ...]:
    """Every resource that a burst can run out of."""
    tiers, stores = tiers_of(costs, aims)
    found = [
        Bound(
            tier=name,
            resource="CPU",
            unit="cores",
            need=work.cores[name],
            each=_core(tier, aims, name),
            per="machine" if name == "store" else "process",
        )
        for name, tier in tiers.items()
    ]
    seconds = len(work.drained)

    def long(series: Series) -> Series:
        return np.concatenate((series, np.zeros(seconds - len(series))))

    flight, held, mb = long(demand.in_flight), long(demand.held_mb), long(demand.mb)
    view_mb = work.views * aims.view_kb / 1000
    nic = aims.nic_gbit * aims.utilisation

    def add(tier: str, resource: str, unit: str, need: Series, each: float, per: str) -> None:
        found.append(Bound(tier=tier, resource=resource, unit=unit, need=need, each=each, per=per))

    # Both hold each upload in flight: the balancer its two connections, the node its request.
    for tier, most in (("lb", aims.lb_connections), ("node", aims.node_requests)):
        add(tier, "uploads in flight", "uploads", flight, float(most), "process")
        files = aims.files_max - (NODE_FILES if tier == "node" else 0)
        add(tier, "file descriptors", "files", flight * FILES_PER_UPLOAD[tier], float(max(files, 1)), "process")
        add(tier, "network", "Gbit/s", (mb + view_mb) * 8e-3 * WIRE, nic, "machine")
    # A worker reads the pair and writes the media object: the larger one fills its direction of the network.
    object_mb = max(demand.mean_bytes, costs.media_bytes(demand.mean_bytes)) / 1e6
    add("worker", "network", "Gbit/s", work.drained * object_mb * 8e-3 * WIRE, nic, "machine")
    kept = demand.pairs * aims.moments_a_day * aims.redis_days * costs.redis_pair_kib / 1024**2
    add("redis", "index", "GiB", np.full(seconds, kept), aims.redis_gib * aims.utilisation, "process")
    burst_mib = {
        "lb": flight * tiers["lb"].upload_kib / 1024,
        "node": flight * tiers["node"].upload_kib / 1024 + held * COPIES * 1e6 / 2**20,
        "redis": np.full(seconds, kept * 1024 * REPLICAS),
    }
    found += [_memory(name, tier, burst_mib.get(name, np.zeros(seconds)), aims) for name, tier in tiers.items()]
    found += _store(demand, work, stores, aims)
    return tuple(found)


def _memory(name: str, tier: Tier, need: Series, aims: Aims) -> Bound:
    """Memory of a tier's machines: what the burst needs, and a process's own, which it has from its start on."""
    each = aims.memory_gib * aims.utilisation * 1024
    return Bound(
        tier=name, resource="memory", unit="MiB", need=need, each=each, per="machine", process=tier.process_mib
    )


def _core(tier: Tier, aims: Aims, name: str) -> float:
    """The part of a core that work may use in one process, or the cores of a machine of the store."""
    if name == "store":
        return aims.cores * aims.utilisation
    # What an idle process uses is not there for work; at least a hundredth, so that a division has a result.
    return max((aims.redis_utilisation if name == "redis" else aims.utilisation) - tier.idle_cores, 0.01)


def _store(demand: Demand, work: Loads, stores: Stores, aims: Aims) -> list[Bound]:
    """Requests and bytes of the store: the first PUT of a pair when it is received, the rest when it is rendered."""
    seconds = len(work.drained)
    received = np.concatenate((demand.received, np.zeros(seconds - demand.seconds)))
    first = min(1.0, stores.puts_per_pair)
    # The first PUT of a pair when it is received, the others when it is rendered.
    puts = received * first + work.drained * (stores.puts_per_pair - first)
    gets = work.drained * (stores.requests_per_pair - stores.puts_per_pair) + work.views
    mean_mb = demand.mean_bytes / 1e6
    written = (received + work.drained * max(0.0, stores.written_share - 1)) * mean_mb
    read = work.drained * stores.read_share * mean_mb + work.views * aims.view_kb / 1000
    rows = [
        ("PUT requests", "1/s", puts, aims.prefix_puts_s * aims.prefixes, "whole"),
        ("GET requests", "1/s", gets, aims.prefix_gets_s * aims.prefixes, "whole"),
    ]
    if stores.store is not None:
        nic = aims.nic_gbit * aims.utilisation
        rows += [
            ("disk", "MB/s", written, aims.disk_mb_s * aims.utilisation, "machine"),
            ("network", "Gbit/s", np.maximum(written, read) * 8e-3 * WIRE, nic, "machine"),
        ]
    return [Bound(tier="store", resource=r, unit=u, need=n, each=e, per=p) for r, u, n, e, p in rows]


def heartbeats(costs: Costs, processes: int, aims: Aims) -> Bound:
    """What the pulses and polls of all processes cost the one Redis that has the membership."""
    return Bound(
        tier="redis",
        resource="heartbeats at the main Redis",
        unit="cores",
        need=np.array([processes * costs.heartbeat_cores]),
        each=aims.redis_utilisation,
        per="whole",
        fixed=True,
    )
