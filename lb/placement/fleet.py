"""All nodes of this balancer: members, health and load in, and `place` decides which node gets a request.

It joins the pure parts: the key's order of nodes is from `ring.py`, who is usable from `standing.py`, the choice from
`policy.py`. Members and events come from `membership/`, load and failures from `relay/`. No I/O and no clock: `now`
comes in.
"""

import logging
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial

from .faults import Faults, Window
from .health import Event, State, newcomer, step
from .node import LEFT_MAX, RAMP_FULL, Member, Node
from .parameters import Placement
from .policy import POLICIES, Bound, Choice, FleetLoad, Rank, Refuse
from .refusals import noted, refusers
from .retry_budget import Budget
from .ring import Ring
from .slots import MEMBERS_MAX
from .standing import CALM, PANIC, TROUBLED, Standing, rank_nodes

log = logging.getLogger("snapsurge.lb.fleet")

_GOOD, _BACK = {Event.PASSED, Event.RESTED}, {State.JOINING, State.DEAD}
_DRAINED_BY = {"draining": "announces draining", "drained": "drained by an operator"}


class Fleet:
    """The nodes by id, their ring and their load."""

    def __init__(self, placement: Placement) -> None:
        self._placement = placement
        self._policy = POLICIES[placement.policy]
        self._home_first = placement.policy in {"ring", "ip-hash"}
        self._bounds, self._request_bytes = (placement.bound, placement.shared_bound), placement.request_bytes
        self._ring = Ring([], seed=placement.seed, slots=placement.slots)
        self._weights: dict[str, int] = {}
        self._by_index: list[Node | None] = [None] * (MEMBERS_MAX + 1)
        self._standing = Standing()
        self._ramping: list[Node] = []
        self._settled = False
        self._window = Window()
        self._budget = Budget(percent=placement.retry_percent, floor=placement.retry_floor)
        self.now = 0.0
        self.nodes, self.left = dict[str, Node](), deque[Node](maxlen=LEFT_MAX)
        self.in_flight = self.load = self.requests = self.spills = self.retries_denied = 0

    # Members.

    def set_members(self, members: Iterable[Member], now: float, *, later: bool = False) -> None:
        """Replace the membership: keep nodes that stay, add new ones, remove those that left.

        `later` leaves the new ring to `draft` and `adopt`; until then new nodes get no keys.
        """
        before, nodes = self.nodes, dict[str, Node]()
        for member in sorted(members, key=lambda member: member.id)[:MEMBERS_MAX]:
            node = before.get(member.id)
            if node is None or node.member.address != member.address:
                # At another address it is another process, which inherits neither health nor load.
                node = self._new(member, now)
                log.info("node %s at %s joins the membership", member.id, member.address)
            node.take(member)
            nodes[member.id] = node
        for gone in sorted(before.keys() - nodes.keys()):
            self.left.append(before[gone].leave(now))
            log.info("node %s leaves the membership", gone)
        self.nodes = nodes
        self._weights = {name: node.weight for name, node in nodes.items() if node.weight}
        for node in nodes.values():
            self._follow(node, now)
        # The first ring is built at once: without one no request can be placed.
        if self.stale and not (later and self._ring.ids):
            self.adopt(self.draft()())
        self._number()

    def _new(self, member: Member, now: float) -> Node:
        placement = self._placement
        health = newcomer(now=now, checked=placement.checked, thresholds=placement.thresholds)
        node = Node(member, health, Faults(placement.faulty_users), born=now)
        if health.state is State.HEALTHY:
            self._begin_ramp(node, now)
        return node

    @property
    def stale(self) -> bool:
        """Whether the ring was built for other members or weights."""
        # Health never changes the ring: a node that dies and returns gets its own keys again.
        return self._ring.weights != self._weights

    def draft(self) -> Callable[[], Ring]:
        """A function that builds the ring of the present members; a thread may call it while the old ring serves."""
        members, placement = list(self._weights.items()), self._placement
        return partial(Ring, members, seed=placement.seed, slots=placement.slots, before=self._ring)

    def adopt(self, ring: Ring) -> None:
        """Place requests by this ring from now on."""
        self._ring = ring
        self._number()

    def _number(self) -> None:
        """Map each index of the ring to its node; to None for a node that left or has another address now."""
        found: list[Node | None] = [None] * (MEMBERS_MAX + 1)
        for index, name in enumerate(self._ring.ids):
            found[index] = self.nodes.get(name)
        self._by_index = found
        self._weigh()

    def _follow(self, node: Node, now: float) -> None:
        """Drain a member that it or an operator drains; start a member anew that serves again."""
        if reason := _DRAINED_BY.get(node.member.state):
            self.note(node, Event.DRAIN, now, reason)
        elif node.health.state is State.DRAINING:
            placement = self._placement
            node.health = newcomer(now=now, checked=placement.checked, thresholds=placement.thresholds)
            self._begin_ramp(node, now)

    @property
    def shares(self) -> dict[str, float]:
        """The part of all keys, 0 to 1, whose home is each member."""
        return self._ring.shares

    # Health.

    def tick(self, now: float) -> None:
        """Advance the clock: slow starts go on, old retries leave the budget, 5xx of the window eject faulty nodes."""
        self.now = now
        self._budget.turn(now, self.requests)
        for node in self._window.faulty(self.nodes.values(), now):
            node.check_soon()
            self.note(node, Event.FAULTY, now, "5xx or no answer to several users, at twice the rate of the others")
        self._settled = self._settled or bool(self._standing.preferred)
        if self._ramping:
            for node in self._ramping:
                node.ramp_up(now, self._placement.slow_start_s)
            self._ramping = [node for node in self._ramping if node.ramp < RAMP_FULL]

    def note(self, node: Node, event: Event, now: float, reason: str = "") -> None:
        """Apply an event to a node's health."""
        before = node.health
        if event in _GOOD and node.silent and before.state in TROUBLED:
            # It answers checks but has stopped its heartbeat: while the two disagree, the node stays ejected.
            return
        node.health = step(before, event, now=now, thresholds=self._placement.thresholds, reason=reason)
        if node.health.state is before.state:
            if node.health.refused is not before.refused:
                self._weigh()
            return
        after = node.health
        level = logging.WARNING if after.state in TROUBLED else logging.INFO
        log.log(level, "node %s: %s -> %s (%s)", node.member.id, before.state.value, after.state.value, after.reason)
        if after.state is State.HEALTHY and (before.state in _BACK or before.flapping):
            self._begin_ramp(node, now)
        self._weigh()

    def _begin_ramp(self, node: Node, now: float) -> None:
        # Not before the first node was healthy: after a start nobody else could take the keys.
        if self._settled and self._placement.slow_start_s:
            node.begin_ramp(now)
            self._ramping = [*(other for other in self._ramping if other is not node), node]

    def silence(self, silent: Collection[str], now: float) -> None:
        """Apply late heartbeats: the first makes a node suspect, the second dead. `silent` are the ids with one now."""
        for name, node in self.nodes.items():
            back = node.silent and name not in silent
            node.silent = name in silent
            if node.silent:
                self.note(node, Event.SILENT, now, "heartbeat missed")
            elif back and not self._placement.checked:
                self.note(node, Event.RESTED, now, "heartbeat resumed")

    def lost(self, node: Node, user: bytes, now: float) -> None:
        """The node's connection broke before the answer to a request of this user was complete."""
        node.check_soon()
        if node.faults.reset(user):
            self.note(node, Event.RESET, now, "connection lost during a request")

    def answered(self, node: Node, user: bytes, status: int, seconds: float, *, full: bool = False) -> None:
        """The node answered after `seconds`; `full` says that a 503 was overload, not a fault of the node."""
        node.answered(seconds, self.now)
        if status < 500 or full:
            # A full node is not faulty: its ejection would move its load to the others.
            node.faults.good += 1
            return
        self._window.failing |= node.faults.failed(user)

    def stalled(self, node: Node, user: bytes, *, failed: bool) -> None:
        """The node gets or says nothing for long; `failed`: an upload of this user, which counts as a 5xx does."""
        node.check_soon()
        self._window.failing |= failed and node.faults.failed(user)

    def _weigh(self) -> None:
        """Rank the nodes again, and log when panic mode begins or ends."""
        before = self._standing.panic
        self._standing = rank_nodes(self.nodes.values(), self._placement.zone)
        if self.panic is not before:
            log.warning(PANIC if self.panic else CALM)

    @property
    def panic(self) -> bool:
        """Whether health is ignored, because more than half the weight is ejected."""
        return self._standing.panic

    # Placing.

    def place(
        self, key: bytes, tried: Collection[Node] = (), size: int = 0, refused: int = 0, *, shared: bool = False
    ) -> Node | Refuse:
        """The node for a key and a body of `size` bytes, without the nodes already tried for this request.

        Nodes that refused an earlier try (`refused`, places of `refusals.py`) are avoided while others are preferred.
        `shared`: a key of many users, which spills sooner.
        """
        ring, load, bound = self._ring, self.load + max(size, self._request_bytes), self._bounds[shared]
        digest = ring.digest(key)
        if refused:
            around = {*tried, *refusers(self._order(digest), refused)}
            # Unless no preferred node would be left.
            tried = tried if self._standing.among <= around else around
        if not self._home_first or tried:
            return self._choose(digest, tried, load, bound)
        home = self._by_index[ring.first(digest)]
        # In slow start a node takes the keys whose first byte is below its step: the same ones first each time.
        if home is None or not home.open or digest >> 56 >= home.ramp:
            return self._choose(digest, tried, load, bound)
        # `policy.cap` without its division, because nearly every request ends here.
        if home.load < bound.floor or home.load * 100 * self._standing.weight < bound.factor * load * home.weight:
            return home
        chosen = self._choose(digest, tried, load, bound)
        self.spills += chosen is not home
        return chosen

    def noted(self, key: bytes, node: Node, refused: int) -> int:
        """The places that refused a request of this key, with this node's added; for the ticket of the next try."""
        return noted(self._order(self._ring.digest(key)), node, refused, self._standing.preferred)

    def _choose(self, digest: int, tried: Collection[Node], load: int, bound: Bound) -> Node | Refuse:
        usable, among = self._standing.preferred, self._standing.among
        if tried or self._ramping or not usable:
            nodes = [node for node in usable if node not in tried]
            started = [node for node in nodes if digest >> 56 < node.ramp]
            # A node in slow start before one that may be ill, and that one before none.
            usable = started or nodes or self._last_resorts(tried)
            among = frozenset(usable)
        if not usable:
            return Refuse("no healthy node")

        def order() -> Iterator[Node]:
            return (node for node in self._order(digest) if node in among)

        choice = Choice(
            order,
            usable,
            fleet_load=FleetLoad(load, self._standing.weight, self._standing.zone_weight),
            bound=bound,
            turn=self.requests,
            zone=self._placement.zone,
        )
        return self._policy(choice)

    def _last_resorts(self, tried: Collection[Node]) -> list[Node]:
        return [one for one in self.nodes.values() if one not in tried and one.rank is Rank.LAST_RESORT and one.weight]

    def _order(self, digest: int) -> Iterator[Node]:
        """The nodes in the key's order, then those that are not on the ring yet."""
        ring, by_index = self._ring, self._by_index
        yield from (node for index in ring.two(digest) if (node := by_index[index]) is not None)
        yield from (node for index in ring.rest(digest) if (node := by_index[index]) is not None)
        yield from (node for name, node in self.nodes.items() if name not in ring.weights)

    def home(self, key: bytes) -> str:
        """The id of the key's first node, whatever its health."""
        return next(self._ring.order(key), "")

    # Load.

    def acquire(self, node: Node, size: int) -> None:
        """Count a request with a body of `size` bytes (0 if unknown) that is sent to the node."""
        load = max(size, self._request_bytes)
        node.in_flight += 1
        node.requests += 1
        node.bytes_in_flight += size
        node.load += load
        self.load += load
        self.in_flight += 1
        self.requests += 1

    def release(self, node: Node, size: int) -> None:
        """The request has left the node."""
        load = max(size, self._request_bytes)
        node.in_flight -= 1
        node.bytes_in_flight -= size
        node.load -= load
        self.load -= load
        self.in_flight -= 1

    def may_retry(self) -> bool:
        """Whether the retry budget allows one more request to be moved to another node; then it is spent."""
        allowed = self._budget.spend(self.requests)
        self.retries_denied += not allowed
        return allowed

    @property
    def ready(self) -> bool:
        """Whether any node can take requests."""
        return any(node.rank is not Rank.NEVER and node.weight for node in self.nodes.values())
