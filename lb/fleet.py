"""All nodes as this balancer knows them: membership, health, load, and the one question it answers, `place`.

It joins the pure parts: members come from `members.py`, events from `probes.py` and `pool.py`, the order of a key from
`ring.py`, the choice from `policy.py`. The ring is rebuilt only when ids or weights change, never for health, so that
a node that dies and returns finds its keys again. No I/O here; `now` comes in.
"""

import logging
from collections.abc import Collection, Iterable

import msgspec

from .nodes import Event, Health, Member, State, Thresholds, newcomer, step
from .policy import POLICIES, Bound, Crowd, Rank, Refuse
from .ring import Ring

log = logging.getLogger("snapsurge.lb.fleet")

_RANKS = {State.HEALTHY: Rank.PREFERRED, State.JOINING: Rank.LAST_RESORT, State.SUSPECT: Rank.LAST_RESORT}
HOMES_MAX = 65536  # Keys whose home is remembered while the membership stays: about 10 MB at most.
HOME_KEY_BYTES_MAX = 128
_TROUBLED = {State.SUSPECT, State.DEAD}


class Node:
    """One node: who it is, how it is, and what is under way there."""

    __slots__ = (
        "bytes_in_flight",
        "check_at",
        "connect_errors",
        "connects",
        "health",
        "host",
        "in_flight",
        "member",
        "port",
        "rank",
        "requests",
        "weight",
    )

    def __init__(self, member: Member, health: Health) -> None:
        host, _, port = member.address.rpartition(":")
        self.member = member
        self.host, self.port = host.strip("[]"), int(port)
        self.weight = member.weight
        self.health = health
        self.rank = _RANKS.get(health.state, Rank.NEVER)
        self.in_flight = self.bytes_in_flight = self.requests = self.connects = self.connect_errors = 0
        self.check_at = 0.0

    def __repr__(self) -> str:
        return f"<Node {self.member.id} {self.member.address} {self.health.state.value} in_flight={self.in_flight}>"


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """How nodes are chosen: policy name, ring parameters, bound, thresholds, and whether active checks are on."""

    policy: str
    seed: bytes
    vnodes: int
    bound: Bound
    thresholds: Thresholds
    checked: bool


class Fleet:
    """The nodes by id."""

    def __init__(self, placement: Placement) -> None:
        self._placement = placement
        self._policy = POLICIES[placement.policy]
        self._floor = placement.bound.floor
        self._ring = Ring([], seed=placement.seed, vnodes=placement.vnodes)
        self._weights: dict[str, int] = {}
        self._crowd_weight = 0
        self._homes: dict[bytes, Node] = {}
        self.nodes: dict[str, Node] = {}
        self.in_flight = 0
        self.shares: dict[str, float] = {}

    def set_members(self, members: Iterable[Member], now: float) -> None:
        """Take the whole membership anew: keep who stays, add who is new, forget who left."""
        placement, before = self._placement, self.nodes
        nodes: dict[str, Node] = {}
        for member in members:
            node = before.get(member.id)
            if node is None or node.member.address != member.address:
                health = newcomer(now=now, checked=placement.checked, thresholds=placement.thresholds)
                node = Node(member, health)
                log.info("node %s at %s joins", member.id, member.address)
            node.member, node.weight = member, member.weight
            nodes[member.id] = node
        for gone in before.keys() - nodes.keys():
            log.info("node %s leaves the membership", gone)
        self.nodes = nodes
        self._homes.clear()
        weights = {name: node.weight for name, node in nodes.items()}
        if weights != self._weights:
            self._weights = weights
            self._ring = Ring(weights.items(), seed=placement.seed, vnodes=placement.vnodes)
            self.shares = self._ring.shares()
        for node in nodes.values():
            self._follow(node, now)
        self._weigh()

    def _follow(self, node: Node, now: float) -> None:
        """A member that says draining drains; one that says serving again starts over."""
        draining = node.health.state is State.DRAINING
        if node.member.state == "draining" and not draining:
            self.note(node, Event.DRAIN, now, "says draining")
        elif node.member.state != "draining" and draining:
            placement = self._placement
            node.health = newcomer(now=now, checked=placement.checked, thresholds=placement.thresholds)
            self._weigh()

    def note(self, node: Node, event: Event, now: float, reason: str = "") -> None:
        """Something was learnt of a node."""
        before = node.health
        node.health = step(before, event, now=now, thresholds=self._placement.thresholds, reason=reason)
        if node.health.state is not before.state:
            words = (node.member.id, before.state.value, node.health.state.value, node.health.reason)
            level = logging.WARNING if node.health.state in _TROUBLED else logging.INFO
            log.log(level, "node %s: %s -> %s (%s)", *words)
            self._weigh()

    def doubt(self, node: Node) -> None:
        """Something went wrong there that proves nothing: check it at once."""
        node.check_at = 0.0

    def _weigh(self) -> None:
        for node in self.nodes.values():
            node.rank = _RANKS.get(node.health.state, Rank.NEVER)
        self._crowd_weight = sum(node.weight for node in self.nodes.values() if node.rank is Rank.PREFERRED)

    def place(self, key: bytes, tried: Collection[Node] = ()) -> Node | Refuse:
        """The node for a key, leaving out those already tried for this request."""
        home = self._homes.get(key)
        if home is not None and home.in_flight < self._floor and home.rank is Rank.PREFERRED and not tried:
            return home  # What the ring policy would find: a preferred home under the floor never spills.
        nodes = self.nodes
        order = (nodes[name] for name in self._ring.order(key))
        if tried:
            order = (node for node in order if node not in tried)
        node = self._policy(order, Crowd(self.in_flight, self._crowd_weight), self._placement.bound)
        if home is None and self._placement.policy == "ring" and len(key) <= HOME_KEY_BYTES_MAX:
            self._remember(key)
        return node

    def _remember(self, key: bytes) -> None:
        if len(self._homes) >= HOMES_MAX:
            self._homes.clear()
        if home := self.nodes.get(self.home(key)):
            self._homes[key] = home

    def home(self, key: bytes) -> str:
        """The id of the key's home, whatever its health."""
        return next(self._ring.order(key), "")

    def acquire(self, node: Node, size: int) -> None:
        """A request with a body of `size` bytes (0 if unknown) goes to the node."""
        node.in_flight += 1
        node.requests += 1
        node.bytes_in_flight += size
        self.in_flight += 1

    def release(self, node: Node, size: int) -> None:
        """The request is over there."""
        node.in_flight -= 1
        node.bytes_in_flight -= size
        self.in_flight -= 1

    @property
    def ready(self) -> bool:
        """Whether any node can be used."""
        return any(node.rank is not Rank.NEVER for node in self.nodes.values())
