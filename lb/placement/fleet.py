"""All nodes as this balancer knows them: membership, health, load, and the one question it answers, `place`.

It joins the pure parts: members come from `members.py`, events from `probes.py`, `pool.py` and exchanges, a key's order
from `ring.py`, who is usable from `standing.py`, the choice from `policy.py`. The ring is rebuilt only when ids or
weights change, never for health, so that a node that dies and returns finds its keys again; it is made elsewhere
(`draft`) while the old one serves. No I/O and no clock here; `now` comes in, often by `tick`.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial

from .faults import Faults, Window
from .health import Event, Member, State, newcomer, step
from .node import RAMP_FULL, Node
from .parameters import Placement
from .policy import POLICIES, Choice, Crowd, Rank, Refuse
from .refusals import noted, refusers
from .retry_budget import Budget
from .ring import Ring
from .slots import MEMBERS_MAX
from .standing import CALM, PANIC, TROUBLED, Standing, stand

log = logging.getLogger("snapsurge.lb.fleet")

__all__ = ["Fleet", "Node", "Placement"]

_GOOD = {Event.PASSED, Event.RESTED}
_BACK = {State.JOINING, State.DEAD}


class Fleet:
    """The nodes by id."""

    def __init__(self, placement: Placement) -> None:
        self._placement = placement
        self._policy = POLICIES[placement.policy]
        self._plain = placement.policy in {"ring", "ip-hash"}
        self._floor, self._factor = placement.bound.floor, placement.bound.factor
        self._request_bytes = placement.request_bytes
        self._ring = Ring([], seed=placement.seed, slots=placement.slots)
        self._weights: dict[str, int] = {}
        self._by_index: list[Node | None] = [None] * (MEMBERS_MAX + 1)
        self._standing = Standing()
        self._ramping: list[Node] = []
        self._settled = False
        self._window = Window()
        self._budget = Budget(percent=placement.retry_percent, floor=placement.retry_floor)
        self.now = 0.0
        self.nodes: dict[str, Node] = {}
        self.in_flight = self.load = self.requests = self.spills = self.retries_denied = 0

    # Members.

    def set_members(self, members: Iterable[Member], now: float, *, later: bool = False) -> None:
        """Take the whole membership anew: keep who stays, add who is new, forget who left.

        `later` leaves the ring to `draft` and `adopt`; until then new nodes get no keys.
        """
        before, nodes = self.nodes, dict[str, Node]()
        for member in sorted(members, key=lambda member: member.id)[:MEMBERS_MAX]:
            node = before.get(member.id)
            if node is None or node.member.address != member.address:
                node = self._new(member, now)
                log.info("node %s at %s joins", member.id, member.address)
            node.take(member)
            nodes[member.id] = node
        for gone in before.keys() - nodes.keys():
            log.info("node %s leaves the membership", gone)
        self.nodes = nodes
        self._weights = {name: node.weight for name, node in nodes.items() if node.weight}
        for node in nodes.values():
            self._follow(node, now)
        if self.stale and not (later and self._ring.ids):
            self.adopt(self.draft()())
        self._number()

    def _new(self, member: Member, now: float) -> Node:
        placement = self._placement
        health = newcomer(now=now, checked=placement.checked, thresholds=placement.thresholds)
        node = Node(member, health, Faults(placement.faulty_users))
        if health.state is State.HEALTHY:
            self._begin_ramp(node, now)
        return node

    @property
    def stale(self) -> bool:
        """Whether the ring is not that of the members."""
        return self._ring.weights != self._weights

    def draft(self) -> Callable[[], Ring]:
        """What makes the ring of the present members: pure, to be called anywhere, also in a thread."""
        members, placement = list(self._weights.items()), self._placement
        return partial(Ring, members, seed=placement.seed, slots=placement.slots, before=self._ring)

    def adopt(self, ring: Ring) -> None:
        """Use this ring from now on."""
        self._ring = ring
        self._number()

    def _number(self) -> None:
        """Which node each index of the ring means; nobody for one that left or stands elsewhere now."""
        found: list[Node | None] = [None] * (MEMBERS_MAX + 1)
        for index, name in enumerate(self._ring.ids):
            found[index] = self.nodes.get(name)
        self._by_index = found
        self._weigh()

    def _follow(self, node: Node, now: float) -> None:
        """A member that says draining drains; one that says serving again starts over."""
        draining = node.health.state is State.DRAINING
        if node.member.state == "draining" and not draining:
            self.note(node, Event.DRAIN, now, "says draining")
        elif node.member.state != "draining" and draining:
            placement = self._placement
            node.health = newcomer(now=now, checked=placement.checked, thresholds=placement.thresholds)
            self._begin_ramp(node, now)

    @property
    def shares(self) -> dict[str, float]:
        """The part of the keys, 0 to 1, that each member is home to."""
        return self._ring.shares

    # Health.

    def tick(self, now: float) -> None:
        """The time went on: slow starts go up a step, old retries are forgotten."""
        self.now = now
        self._budget.turn(now, self.requests)
        for node in self._window.guilty(self.nodes.values(), now):
            self.doubt(node)
            self.note(node, Event.FAULTY, now, "5xx answers to several users, fewer at its peers")
        self._settled = self._settled or bool(self._standing.preferred)
        if self._ramping:
            for node in self._ramping:
                node.ramp_up(now, self._placement.slow_start_s)
            self._ramping = [node for node in self._ramping if node.ramp < RAMP_FULL]

    def note(self, node: Node, event: Event, now: float, reason: str = "") -> None:
        """Something was learnt of a node."""
        before = node.health
        if event in _GOOD and node.silent and before.state in TROUBLED:
            return  # It answers checks and has stopped its heartbeat: while the two disagree, doubt stays.
        node.health = step(before, event, now=now, thresholds=self._placement.thresholds, reason=reason)
        if node.health.state is before.state:
            if node.health.refused is not before.refused:
                self._weigh()
            return
        after = node.health
        level = logging.WARNING if after.state in TROUBLED else logging.INFO
        log.log(level, "node %s: %s -> %s (%s)", node.member.id, before.state.value, after.state.value, after.reason)
        if after.state is State.HEALTHY and before.state in _BACK:
            self._begin_ramp(node, now)
        self._weigh()

    def _begin_ramp(self, node: Node, now: float) -> None:
        if self._settled and self._placement.slow_start_s:
            node.begin_ramp(now)
            self._ramping = [*(other for other in self._ramping if other is not node), node]

    def silence(self, silent: Collection[str], now: float) -> None:
        """Whose heartbeats are late at this look: the first time makes suspect, the second dead."""
        for name, node in self.nodes.items():
            back = node.silent and name not in silent
            node.silent = name in silent
            if node.silent:
                self.note(node, Event.SILENT, now, "heartbeat missed")
            elif back and not self._placement.checked:
                self.note(node, Event.RESTED, now, "heartbeat again")

    def doubt(self, node: Node) -> None:
        """Something went wrong there that proves nothing: check it at once."""
        node.check_at = 0.0

    def lost(self, node: Node, key: bytes, now: float) -> None:
        """The connection of this key's request broke before its answer was complete."""
        self.doubt(node)
        if node.faults.reset(key):
            self.note(node, Event.RESET, now, "connection lost in a request")

    def answered(self, node: Node, key: bytes, status: int, seconds: float, *, full: bool = False) -> None:
        """A final answer came after so long; `full` says that a 503 was overload, not a fault of the node's."""
        node.answered(seconds, self.now)
        if status < 500 or full:
            node.faults.good += 1
            return
        node.faults.failed(key)
        self._window.failing |= node.faults.suspicious

    def _weigh(self) -> None:
        """Who takes keys now."""
        before = self._standing.panic
        self._standing = stand(self.nodes.values(), self._placement.zone)
        if self.panic is not before:
            log.warning(PANIC if self.panic else CALM)

    @property
    def panic(self) -> bool:
        """Whether judgements are not believed, because they have ejected more than half."""
        return self._standing.panic

    # Placing.

    def place(self, key: bytes, tried: Collection[Node] = (), size: int = 0, refused: int = 0) -> Node | Refuse:
        """The node for a key and a body of `size` bytes, leaving out those already tried for this request.

        Nodes that `refused` it before (places of `refusals.py`) are left out as long as another one is preferred.
        """
        ring, load = self._ring, self.load + max(size, self._request_bytes)
        digest = ring.digest(key)
        if refused:
            around = {*tried, *refusers(self._order(digest), refused)}
            tried = tried if self._standing.among <= around else around
        if not self._plain or tried:
            return self._choose(digest, tried, load)
        home = self._by_index[ring.first(digest)]
        if home is None or not home.open or digest >> 56 >= home.ramp:
            return self._choose(digest, tried, load)
        # The cap of `policy.cap`, without its division: this is the path of nearly every request.
        if home.load < self._floor or home.load * 100 * self._standing.weight < self._factor * load * home.weight:
            return home
        chosen = self._choose(digest, tried, load)
        self.spills += chosen is not home
        return chosen

    def noted(self, key: bytes, node: Node, refused: int) -> int:
        """The places that refused a request of this key, now that this node has; for its next try."""
        return noted(self._order(self._ring.digest(key)), node, refused, self._standing.preferred)

    def _choose(self, digest: int, tried: Collection[Node], load: int) -> Node | Refuse:
        usable, among = self._standing.preferred, self._standing.among
        if tried or self._ramping or not usable:
            nodes = [node for node in usable if node not in tried]
            started = [node for node in nodes if digest >> 56 < node.ramp]
            usable = started or nodes or self._last_resorts(tried)
            among = frozenset(usable)
        if not usable:
            return Refuse("no healthy node")

        def order() -> Iterator[Node]:
            return (node for node in self._order(digest) if node in among)

        placement = self._placement
        choice = Choice(
            order,
            usable,
            crowd=Crowd(load, self._standing.weight, self._standing.zone_weight),
            bound=placement.bound,
            turn=self.requests,
            zone=placement.zone,
        )
        return self._policy(choice)

    def _last_resorts(self, tried: Collection[Node]) -> list[Node]:
        nodes = self.nodes.values()
        return [node for node in nodes if node.rank is Rank.LAST_RESORT and node.weight and node not in tried]

    def _order(self, digest: int) -> Iterator[Node]:
        """The nodes as the key prefers them, then those not on the ring yet."""
        ring, by_index = self._ring, self._by_index
        yield from (node for index in ring.two(digest) if (node := by_index[index]) is not None)
        yield from (node for index in ring.rest(digest) if (node := by_index[index]) is not None)
        yield from (node for name, node in self.nodes.items() if name not in ring.weights)

    def home(self, key: bytes) -> str:
        """The id of the key's home, whatever its health."""
        return next(self._ring.order(key), "")

    # Load.

    def acquire(self, node: Node, size: int) -> None:
        """A request with a body of `size` bytes (0 if unknown) goes to the node."""
        load = max(size, self._request_bytes)
        node.in_flight += 1
        node.requests += 1
        node.bytes_in_flight += size
        node.load += load
        self.load += load
        self.in_flight += 1
        self.requests += 1

    def release(self, node: Node, size: int) -> None:
        """The request is over there."""
        load = max(size, self._request_bytes)
        node.in_flight -= 1
        node.bytes_in_flight -= size
        node.load -= load
        self.load -= load
        self.in_flight -= 1

    def may_retry(self) -> bool:
        """Whether the budget lets one more request be moved to another node."""
        allowed = self._budget.spend(self.requests)
        self.retries_denied += not allowed
        return allowed

    @property
    def ready(self) -> bool:
        """Whether any node can be used."""
        return any(node.rank is not Rank.NEVER and node.weight for node in self.nodes.values())
