"""Makes the world of a simulation from a fleet, costs and arrivals; ring and health are the real ones."""

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from ingest.admission import Budget
from lb.http1.tickets import LIFE_MS
from lb.placement.fleet import Fleet as Balancers
from lb.placement.health import Thresholds
from lb.placement.node import RAMP_FULL, Member
from lb.placement.parameters import Placement
from lb.placement.policy import Bound, Rank
from lb.placement.ring import Ring
from lb.placement.slots import MEMBERS_MAX
from storage.queue.lease import FAIR_TURNS, order

from ..capacity.costs import Costs as Measured
from ..capacity.costs import Line, Stores, Tier
from ..config import Config
from . import world as worlds
from .arrivals import Arrivals, placed
from .cores import Cores
from .fleet import Fleet, FleetError
from .settings import Settings
from .world import AWAY, NOBODY, OPEN, RAMPING, SALT, WEIGHT, World

TICK_S: Final = 0.05
MEMORY_PART: Final = 8  # a node's part of its machine's memory (`ingest/memory.py`)
ENOUGH_BYTES: Final = 2**40
WITHOUT_FULL: Final = 5 / 6  # a render without `full`, measured (processors/README.md)
JITTER: Final = 1.1  # of a wait that a phone is asked for (`client.wait_s`)
LATEST_S: Final = 4 * 3600.0
CLASSES: Final = ("flags", "on time", "late", "dear", "later")
USED: Final = ("on time", "late", "later")
NO_STORE: Final = Tier(upload=Line(fixed_ms=0.0), process_mib=0.0, start_s=0.0)


class Hosts(msgspec.Struct, frozen=True):
    """The machine of each process, by tier, and the zone of each machine."""

    of: dict[str, list[int]]
    cores: list[float]
    zones: list[int]
    memory: list[float]


class Made(msgspec.Struct, frozen=True):
    """A world at the moment, with the real fleet of the balancers, and the machines below."""

    world: World
    placement: Balancers
    cores: Cores
    hosts: Hosts
    settings: Settings
    start_s: float


def hosts_of(fleet: Fleet) -> Hosts:
    """Where each process runs; FleetError when the ring has no place for so many nodes."""
    found = Hosts({tier: [] for tier in ("lb", "node", "worker", "redis", "store", "phones")}, [], [], [])
    for kind in fleet.machines.values():
        for number in range(kind.count):
            machine = len(found.cores)
            found.cores.append(kind.cores)
            found.zones.append(number % kind.zones)
            found.memory.append((kind.memory_gib or 0) * 2**30)
            for tier, machines in found.of.items():
                machines.extend([machine] * int(getattr(kind, tier)))
    if len(found.of["node"]) > MEMBERS_MAX:
        raise FleetError(f"{len(found.of['node'])} nodes: a ring has room for {MEMBERS_MAX}")
    return found


def balancers_fleet(hosts: Hosts, settings: Settings) -> Balancers:
    """The fleet as balancers have it, all nodes healthy."""
    made = Balancers(
        Placement(
            policy="ring",
            seed=settings.seed,
            slots=settings.whole("LB_RING_SLOTS"),
            bound=Bound(settings.whole("LB_BOUND_PERCENT"), settings.whole("LB_BOUND_FLOOR_BYTES")),
            thresholds=Thresholds(),
            checked=False,
            request_bytes=settings.whole("LB_REQUEST_BYTES"),
            slow_start_s=settings.of("LB_SLOW_START_S"),
        )
    )
    made.set_members([Member(id=f"{n:05d}", address=f"node:{n + 1}") for n in range(len(hosts.of["node"]))], 0.0)
    made.tick(0.0)
    return made


def built(fleet: Fleet, measured: Measured, arrivals: Arrivals, window_s: float, config: Config, seed: int) -> Made:
    """The world at the moment; FleetError when the costs have no such store."""
    stores = measured.stores.get(fleet.store)
    if stores is None:
        raise FleetError(f"the costs have no store of the kind {fleet.store}, only {', '.join(measured.stores)}")
    # A ticket that has ended gives no place in front: phones would have to know when theirs was given.
    if config.retry_after_max_s * JITTER * 1000 > LIFE_MS:
        raise FleetError("phones may return after their tickets have ended, which is not simulated")
    settings, hosts = Settings(fleet.settings), hosts_of(fleet)
    balancers = balancers_fleet(hosts, settings)
    ring: Ring = balancers._ring  # noqa: SLF001 - the ring is what is simulated
    slots, turns = placed(arrivals, ring, np.random.default_rng(seed))
    span_s = float(arrivals.arrives[-1]) if len(arrivals.arrives) else 0.0
    lb = measured.lb_tls if fleet.tls else measured.lb
    nodes, usual = _nodes(hosts, settings, ring)
    made = World(
        users=worlds.users_of(arrivals.arrives, arrivals.bytes, arrivals.send_s, slots, turns),
        nodes=nodes,
        usual=usual,
        lbs=_lbs(hosts),
        load=np.zeros((len(hosts.of["lb"]), len(nodes)), np.int64),
        machines=_machines(hosts),
        workers=_workers(hosts),
        heap=np.zeros(len(hosts.of["worker"]), np.int32),
        passing=np.zeros(len(slots) if fleet.store_bytes_s else 0, np.int32),
        orders=_orders(),
        table=ring.table,
        scores=ring._scoring._stacked,  # noqa: SLF001 - all weights are equal: one row
        head=np.full(int((span_s + LATEST_S) / TICK_S) + 1, NOBODY, np.int32),
        jobs=np.full((worlds.JOB_CLASSES, 2), NOBODY, np.int32),
        counts=np.zeros(worlds.COUNTS, np.int64),
        victims=np.zeros(len(slots) + 1, np.int32),
        order=np.zeros(len(nodes), np.int64),
        shed_s=np.zeros(int(span_s) + 1, np.int64),
        flows=np.zeros(worlds.FLOWS),
        shard_back=np.zeros(max(len(hosts.of["redis"]), 1)),
        servers=_servers(hosts),
        numbers=numbers_of(fleet, measured, stores, float(arrivals.bytes.mean()), window_s, config, settings),
        costs=_costs(fleet, measured, stores, lb),
        spreads=_spreads(stores, lb),
    )
    made.users["render_s"] = render_line(stores).each_ms(arrivals.bytes) / 1000
    made.counts[AWAY] = len(slots)
    made.counts[SALT : SALT + 2] = ring._scoring._salt  # noqa: SLF001 - the same
    copy_health(made, balancers)
    beside = _beside(fleet, hosts, {"lb": lb, "node": stores.node, "worker": stores.worker, "redis": measured.redis})
    workers = np.bincount(hosts.of["worker"], minlength=len(hosts.cores)).astype(np.float64)
    cores = Cores(np.array(hosts.cores, np.float64), _threads(hosts), beside, workers)
    return Made(made, balancers, cores, hosts, settings, stores.worker.start_s)


def copy_health(w: World, balancers: Balancers) -> None:
    """Copy ranks, slow starts and weights from the balancers' fleet."""
    for n, node in enumerate(balancers.nodes.values()):
        there = w.nodes[n]
        there.open, there.resort = node.open, node.rank is Rank.LAST_RESORT
        there.ramp, there.weight = node.ramp, node.weight
    w.counts[WEIGHT] = w.nodes["weight"][w.nodes["open"]].sum()
    w.counts[OPEN] = np.count_nonzero(w.nodes["open"])
    w.counts[RAMPING] = np.count_nonzero(w.nodes["ramp"] < RAMP_FULL)


def _nodes(hosts: Hosts, settings: Settings, ring: Ring) -> tuple[worlds.Records, worlds.Records]:
    budget = Budget(requests_max=settings.whole("INGEST_IN_FLIGHT_REQUESTS_MAX"), bytes_max=ENOUGH_BYTES)
    nodes, usual = worlds.nodes_of(len(hosts.of["node"]), budget)
    nodes["machine"], nodes["factor"] = hosts.of["node"], ring._scoring._factors  # noqa: SLF001 - the same
    for n, machine in enumerate(hosts.of["node"]):
        # Without a known memory a node is never short of it.
        default = hosts.memory[machine] / MEMORY_PART or ENOUGH_BYTES
        nodes["bytes_max"][n] = settings.whole("INGEST_IN_FLIGHT_BYTES_MAX") or int(default)
    return nodes, usual


def _lbs(hosts: Hosts) -> worlds.Records:
    made = worlds.records(worlds.LB_RECORD, len(hosts.of["lb"]))
    made["machine"], made["alive"] = hosts.of["lb"], True
    return made


def _machines(hosts: Hosts) -> worlds.Records:
    made = worlds.records(worlds.MACHINE, len(hosts.cores))
    made["speed"] = made["render_speed"] = 1.0
    return made


def _workers(hosts: Hosts) -> worlds.Records:
    made = worlds.records(worlds.WORKER_RECORD, len(hosts.of["worker"]))
    made["machine"], made["turn"], made["job"] = hosts.of["worker"], range(len(made)), NOBODY
    return made


def _orders() -> worlds.Bytes:
    """The order of the job classes in each turn, by the rule of the lease."""
    turns = range(FAIR_TURNS * len(CLASSES))
    return np.array([[USED.index(name) for name in order(CLASSES, turn) if name in USED] for turn in turns], np.uint8)


def _servers(hosts: Hosts) -> worlds.Indices:
    made = np.zeros((len(worlds.TIERS), len(hosts.cores) + 1), np.int32)
    for tier, name in ((worlds.REDIS, "redis"), (worlds.STORE, "store"), (worlds.PHONE, "phones")):
        machines = sorted(set(hosts.of[name]))
        made[tier, 0] = len(machines)
        made[tier, 1 : 1 + len(machines)] = machines
    return made


def _threads(hosts: Hosts) -> worlds.Floats:
    """Threads of the upload path on each machine; a store has as many as there are cores."""
    made = np.zeros(len(hosts.cores))
    for tier in ("lb", "node", "redis", "phones"):
        np.add.at(made, hosts.of[tier], 1.0)
    np.add.at(made, hosts.of["store"], np.array(hosts.cores)[hosts.of["store"]])
    return made


def _beside(fleet: Fleet, hosts: Hosts, tiers: dict[str, Tier]) -> worlds.Floats:
    """Cores of each machine that its processes use without a burst."""
    found = np.zeros(len(hosts.cores))
    for tier, costs in tiers.items():
        np.add.at(found, hosts.of[tier], costs.idle_cores)
    np.add.at(found, hosts.of["phones"], fleet.phones.idle_cores)
    return found


def _costs(fleet: Fleet, measured: Measured, stores: Stores, lb: Tier) -> worlds.Floats:
    store, worker = stores.store or NO_STORE, render_line(stores)
    phones = Line(fixed_ms=fleet.phones.fixed_ms, mb_ms=fleet.phones.mb_ms)
    lines = [lb.upload, stores.node.upload, worker, measured.redis.upload, store.upload, phones]
    return np.array([(line.fixed_ms / 1e3, line.mb_ms / 1e9) for line in lines])


def render_line(stores: Stores) -> Line:
    """What a pair costs a worker: all of it comes after the upload."""
    return stores.worker.drain or stores.worker.upload


def _spreads(stores: Stores, lb: Tier) -> worlds.Floats:
    """The distributions at equal steps: costs as a factor of their line, the PUT in seconds."""
    found = [lb.upload.spread, stores.node.upload.spread, render_line(stores).spread]
    rows = [_even(one or (1.0, 1.0)) for one in found]
    return np.array([*rows, _even(stores.put_ms or (0.0, 0.0)) / 1000])


def _even(quantiles: Sequence[float]) -> worlds.Floats:
    steps = np.linspace(0.0, 1.0, worlds.SPREAD)
    return (
        np.interp(steps, np.linspace(0.0, 1.0, len(quantiles)), quantiles)
        if len(quantiles) > 1
        else steps * 0 + quantiles[0]
    )


def numbers_of(
    fleet: Fleet,
    measured: Measured,
    stores: Stores,
    mean_bytes: float,
    window_s: float,
    config: Config,
    given: Settings,
) -> worlds.Floats:
    """The numbers of the rules, by their place."""
    store, nothing = stores.store or NO_STORE, NO_STORE.upload
    render_s = float(np.median(stores.render_s or (0.0,)))
    numbers = {
        worlds.TICK_S: TICK_S,
        worlds.WINDOW_S: window_s,
        worlds.ATTEMPTS: config.attempts_max,
        worlds.REQUEST_BYTES: given.of("LB_REQUEST_BYTES"),
        worlds.BOUND_PERCENT: given.of("LB_BOUND_PERCENT"),
        worlds.BOUND_FLOOR: given.of("LB_BOUND_FLOOR_BYTES"),
        worlds.COMMIT_WAIT_S: given.of("INGEST_COMMIT_WAIT_S"),
        worlds.ANNOUNCE_S: given.of("INGEST_BATCH_LINGER_S"),
        worlds.SLOWDOWN: fleet.store_slowdown,
        worlds.LINK_BYTES_S: fleet.store_bytes_s or 0.0,
        worlds.MEDIA_BYTES: measured.media_bytes(mean_bytes),
        worlds.FIRST_BYTES: measured.media_bytes(mean_bytes, full=False),
        # What a render waits for the store: its wall time without its CPU.
        worlds.IO_S: max(render_s - render_line(stores).ms(mean_bytes) / 1000, 0.0),
        worlds.DEGRADE_S: given.of("PROCESSORS_DEGRADE_S"),
        worlds.WITHOUT_FULL: WITHOUT_FULL,
        worlds.RETRY_S_MAX: config.retry_after_max_s,
        worlds.BACKOFF_S: config.backoff_floor_s,
        worlds.BACKOFF_S_MAX: config.backoff_max_s,
        worlds.STORE_DRAIN: (store.drain or nothing).ms(mean_bytes) / 1000,
        worlds.REDIS_DRAIN: (measured.redis.drain or nothing).ms(mean_bytes) / 1000,
    }
    return np.array([numbers[number] for number in range(worlds.NUMBERS)], np.float64)
