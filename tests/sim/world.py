"""A simulation to test placement: real fleets over simulated nodes that slow down, hang, die, flap and join.

One heap of events is the clock: time advances only from event to event, so a simulated minute takes a second, and a
seed determines the whole run. A balancer is a real `Fleet` with a short version of what `probes.py`, `pool.py` and
`exchange.py` do: it checks nodes with jitter, connects, is refused, retries the request at another node within the
budget, and notes answers and broken connections. A node serves `lanes` requests at a time, each for a time in
proportion to its bytes, and queues the others.
"""

import heapq
import random
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from lb.placement.fleet import Fleet
from lb.placement.health import Event, State, Thresholds
from lb.placement.node import Member, Node
from lb.placement.parameters import Placement
from lb.placement.policy import Bound, Refuse

CHECK_S, CHECK_FAST_S, TICK_S, HANG_S = 2.0, 0.5, 0.05, 1.0
TRIES, REFUSE_S, RETRY_S_MAX = 6, 0.002, 5.0  # a phone's tries, the delay of a refusal, the longest Retry-After
MIB = 1 << 20


@dataclass(eq=False)
class Request:
    """One upload and its outcome: `served`, `lost` in flight, `refused`, `given up`; empty while it is open.

    After a node's 503 it is tried again, as phones do, with a ticket that names the node that `turned` it away.
    """

    key: bytes
    size: int
    begun: float
    node: str = ""
    outcome: str = ""
    took: float = 0.0
    moves: int = 0
    tries: int = 1
    turned: int = 0


@dataclass(eq=False)
class Upstream:
    """The real state of a node: the probability of a 503 with a cause (`sick`), or with Retry-After only (`full`).

    `unready`: its health checks fail too.
    """

    name: str
    lanes: int = 4
    slow: float = 1.0
    alive: bool = True
    hung: bool = False
    sick: float = 0.0
    full: float = 0.0
    unready: bool = False
    bytes_s: float = 4.0 * MIB
    reached: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    busy: list["Job"] = field(default_factory=list)
    queue: deque["Job"] = field(default_factory=deque)


@dataclass(eq=False)
class Job:
    """A request at a node; `done` is called with whether it was answered."""

    request: Request
    done: Callable[[bool], None]
    over: bool = False


class World:
    """The simulation: its clock, nodes and balancers."""

    def __init__(
        self, seed: int, *, nodes: int = 6, balancers: int = 1, policy: str = "ring", **placement: object
    ) -> None:
        print(f"seed {seed}, policy {policy}")  # noqa: T201 - pytest shows it when the test fails
        self.rng = random.Random(seed)
        self.now = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = 0
        self.upstreams: dict[str, Upstream] = {}
        self.zones: dict[str, str] = {}
        self.requests: list[Request] = []
        self.balancers = [Balancer(self, policy, **placement) for _ in range(balancers)]
        for number in range(nodes):
            self.upstreams[f"n{number}"] = Upstream(f"n{number}")
        self.announce()
        for balancer in self.balancers:
            balancer.start()

    def at(self, time: float, act: Callable[[], None]) -> None:
        """Schedule `act` at `time`."""
        self._numbers += 1
        heapq.heappush(self._events, (time, self._numbers, act))

    def run(self, until: float) -> None:
        """Run all events up to the time `until`."""
        while self._events and self._events[0][0] <= until:
            self.now, _, act = heapq.heappop(self._events)
            act()
        self.now = until

    # Nodes.

    def announce(self) -> None:
        """Give the current members to all balancers."""
        members = [Member(id=name, address="h:1", zone=self.zones.get(name, "")) for name in self.upstreams]
        for balancer in self.balancers:
            balancer.fleet.set_members(members, self.now)

    def join(self, name: str) -> None:
        """Add a new node and announce it."""
        self.upstreams[name] = Upstream(name)
        self.announce()

    def die(self, name: str) -> None:
        """Kill a node: its requests are lost, and new connections are refused."""
        upstream = self.upstreams[name]
        upstream.alive = False
        jobs, upstream.busy = [*upstream.busy, *upstream.queue], []
        upstream.queue.clear()
        for job in jobs:
            job.over = True
            job.done(False)

    def rise(self, name: str) -> None:
        """Restart a node: it accepts connections again and has no requests."""
        self.upstreams[name].alive = True

    def submit(self, upstream: Upstream, job: Job) -> None:
        """Give a request to a node that the balancer has connected to."""
        upstream.reached.append(self.now)
        upstream.queue.append(job)
        self._serve(upstream)

    def _serve(self, upstream: Upstream) -> None:
        while upstream.queue and len(upstream.busy) < upstream.lanes:
            job = upstream.queue.popleft()
            upstream.busy.append(job)
            seconds = (0.002 + job.request.size / upstream.bytes_s) * upstream.slow
            self.at(self.now + seconds, lambda job=job: self._finish(upstream, job))

    def _finish(self, upstream: Upstream, job: Job) -> None:
        if not job.over:
            job.over = True
            upstream.busy.remove(job)
            job.done(True)
            self._serve(upstream)

    # Traffic.

    def traffic(self, *, per_s: float, until: float, users: int = 2000, size: int = MIB // 4) -> None:
        """Add Poisson arrivals at random balancers, with sizes spread around the mean and equally likely users."""
        when = self.now + self.rng.expovariate(per_s)
        while when < until:
            request = Request(b"user-%d" % self.rng.randrange(users), 1 + int(self.rng.expovariate(1 / size)), when)
            balancer = self.rng.choice(self.balancers)
            self.at(when, lambda request=request, balancer=balancer: balancer.take(request))
            self.requests.append(request)
            when += self.rng.expovariate(per_s)

    # Results.

    def shares(self, since: float = 0.0, until: float = 1e9) -> dict[str, float]:
        """Each node's share of the requests begun between `since` and `until`."""
        found = Counter(request.node for request in self.requests if since <= request.begun < until)
        return {name: found[name] / max(1, found.total()) for name in self.upstreams}

    def outcomes(self) -> Counter[str]:
        """The number of requests by outcome."""
        return Counter(request.outcome for request in self.requests)

    def percentile(self, part: float) -> float:
        """A percentile of the times of served requests, in seconds."""
        took = sorted(request.took for request in self.requests if request.outcome == "served")
        return took[int(len(took) * part)]


class Balancer:
    """A balancer: a real fleet with simulated checks, connections and answers."""

    def __init__(self, world: World, policy: str, **placement: object) -> None:
        self._world = world
        self.fleet = Fleet(
            Placement(
                policy=policy,
                seed=b"sim",
                slots=1 << 14,
                checked=True,
                thresholds=Thresholds(),
                **({"bound": Bound(125, 4 * MIB)} | placement),
            )
        )

    def start(self) -> None:
        """Check every node once, then at intervals."""
        for node in list(self.fleet.nodes.values()):
            self._check(node)
        self._tick()

    def _tick(self) -> None:
        world = self._world
        self.fleet.tick(world.now)
        for node in list(self.fleet.nodes.values()):
            if node.check_at <= world.now:
                self._check(node)
        world.at(world.now + TICK_S, self._tick)

    def _check(self, node: Node) -> None:
        world, upstream = self._world, self._world.upstreams[node.member.id]
        if (upstream.hung or upstream.unready) and upstream.alive:
            self.fleet.note(node, Event.FAILED, world.now, "check timed out")
        else:
            self.fleet.note(node, Event.PASSED if upstream.alive else Event.REFUSED, world.now)
        interval = CHECK_S if node.health.state is State.HEALTHY else CHECK_FAST_S
        node.check_at = world.now + interval * world.rng.uniform(0.8, 1.2)

    def take(self, request: Request, tried: tuple[Node, ...] = ()) -> None:
        """Place a new request, or one that a node has refused."""
        world, fleet = self._world, self.fleet
        node = fleet.place(request.key, tried, request.size, request.turned)
        if isinstance(node, Refuse) or (tried and not fleet.may_retry()):
            request.outcome = "refused"
            return
        request.node, request.moves = node.member.id, len(tried)
        upstream = world.upstreams[node.member.id]
        fleet.acquire(node, request.size)
        if not upstream.alive:
            upstream.refused.append(world.now)
            fleet.release(node, request.size)
            fleet.note(node, Event.REFUSED, world.now)
            self.take(request, (*tried, node))
            return

        chance = world.rng.random()
        if chance < upstream.sick or chance < upstream.full:
            upstream.reached.append(world.now)
            world.at(world.now + REFUSE_S, lambda: self._turn_away(request, node, full=chance >= upstream.sick))
            return

        def done(answered: bool) -> None:  # noqa: FBT001 - a callback
            request.outcome, request.took = "served" if answered else "lost", world.now - request.begun
            if answered:
                fleet.answered(node, request.key, 201, request.took)
            else:
                fleet.lost(node, request.key, world.now)
            fleet.release(node, request.size)

        world.submit(upstream, Job(request, done))

    def _turn_away(self, request: Request, node: Node, *, full: bool) -> None:
        """Handle a node's 503: the request is retried at a random balancer, which avoids that node."""
        world, fleet = self._world, self.fleet
        fleet.answered(node, request.key, 503, REFUSE_S, full=full)
        fleet.release(node, request.size)
        request.turned = fleet.noted(request.key, node, request.turned)
        request.tries += 1
        if request.tries > TRIES:
            request.outcome = "given up"
            return
        again = world.rng.choice(world.balancers)
        world.at(world.now + world.rng.uniform(1, RETRY_S_MAX), lambda: again.take(request))
