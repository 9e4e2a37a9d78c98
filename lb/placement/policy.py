"""The policies: each chooses one of the usable nodes for a key. Health is decided before. Pure.

`ring` is consistent hashing with bounded load: the first node in the key's order that is under its cap. The cap is c
times the fair share of the bytes in flight (Mirrokni et al. 2016), but never under a floor, so that an idle system
never spills and affinity holds. A spilled key always goes to the same node, the next of its own order.
The caps of several balancers add up: each keeps every node under c times the fair share of its own bytes, plus the one
request that reached the cap, so their sum is under c times the fair share of all bytes, plus one request each.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from enum import IntEnum
from itertools import accumulate
from typing import Generic, Protocol, TypeVar

import msgspec

_GOLDEN = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio: its multiples fill the circle evenly.

EWMA_S_MIN = 0.001  # Answer time of a node that has not answered yet; zero would send every request to it.


class Rank(IntEnum):
    """Whether a node is used: preferred, only when no preferred node is left, or never."""

    PREFERRED = 0
    LAST_RESORT = 1
    NEVER = 2


class Candidate(Protocol):
    """A node as a policy sees it; `load` is its bytes in flight, `ewma_s` its answer time (peak EWMA)."""

    weight: int
    zone: str
    in_flight: int
    load: int
    ewma_s: float


class FleetLoad(msgspec.Struct, frozen=True, gc=False):
    """Sums over all nodes: bytes in flight with the new request, weight of the preferred, weight of this zone."""

    load: int
    weight: int
    zone_weight: int = 0


class Bound(msgspec.Struct, frozen=True):
    """The bound on a node's load: `factor` in percent of the fair share (125 = a quarter more), `floor` in bytes."""

    factor: int
    floor: int


class Refuse(msgspec.Struct, frozen=True):
    """No node can take the key; `reason` says why."""

    reason: str


C = TypeVar("C", bound=Candidate)


class Choice(Generic[C]):
    """The input of a policy: `order` yields the usable nodes in the key's order, `nodes` lists them by id.

    `nodes` is never empty. `turn` is the number of the request.
    """

    __slots__ = ("bound", "fleet_load", "nodes", "order", "turn", "zone")

    def __init__(
        self,
        order: Callable[[], Iterator[C]],
        nodes: list[C],
        *,
        fleet_load: FleetLoad,
        bound: Bound,
        turn: int = 0,
        zone: str = "",
    ) -> None:
        self.order, self.nodes = order, nodes
        self.fleet_load, self.bound, self.turn, self.zone = fleet_load, bound, turn, zone


Policy = Callable[[Choice[C]], C]


def cap(weight: int, load: int, weights: int, bound: Bound) -> int:
    """The bytes in flight at which a node of this weight gets no further request."""
    fair = bound.factor * load * weight
    return max(bound.floor, -(-fair // (100 * max(weights, 1))))


def ring(choice: Choice[C]) -> C:
    """The first node of the key's order that is under its cap, else the first."""
    fleet_load, bound = choice.fleet_load, choice.bound
    under = (node for node in choice.order() if node.load < cap(node.weight, fleet_load.load, fleet_load.weight, bound))
    return next(under, None) or next(choice.order())


def zone_aware(choice: Choice[C]) -> C:
    """The ring over the nodes of this balancer's zone; what they cannot take goes by the ring over all nodes."""
    load, weights, bound = choice.fleet_load.load, choice.fleet_load.zone_weight, choice.bound
    near = (node for node in choice.order() if node.zone == choice.zone)
    return next((node for node in near if node.load < cap(node.weight, load, weights, bound)), None) or ring(choice)


def ip_hash(choice: Choice[C]) -> C:
    """The first node of the order, however full; `server.py` makes the client's address the key."""
    return next(choice.order())


def round_robin(choice: Choice[C]) -> C:
    """Each node in turn."""
    nodes = choice.nodes
    return nodes[choice.turn % len(nodes)]


def weighted(choice: Choice[C]) -> C:
    """Each node in turn by weight; the turns of a heavy node are spread evenly between those of the others."""
    nodes = choice.nodes
    marks = list(accumulate(node.weight for node in nodes))
    return nodes[bisect_right(marks, ((choice.turn * _GOLDEN) % 2**64 * marks[-1]) >> 64, hi=len(marks) - 1)]


def least_connections(choice: Choice[C]) -> C:
    """The node with the fewest requests in flight for its weight; equals in turn."""
    return min(_in_turn(choice), key=lambda node: (node.in_flight + 1) / max(node.weight, 1))


def peak_ewma(choice: Choice[C]) -> C:
    """The node with the least expected wait: answer time (peak EWMA) times requests in flight, for its weight."""
    return min(
        _in_turn(choice), key=lambda node: max(node.ewma_s, EWMA_S_MIN) * (node.in_flight + 1) / max(node.weight, 1)
    )


def _in_turn(choice: Choice[C]) -> list[C]:
    """The usable nodes, with another one first each time."""
    nodes = choice.nodes
    start = choice.turn % len(nodes)
    return nodes[start:] + nodes[:start]


POLICIES = {
    "ring": ring,
    "round-robin": round_robin,
    "least-connections": least_connections,
    "peak-ewma": peak_ewma,
    "ip-hash": ip_hash,
    "weighted": weighted,
    "zone-aware": zone_aware,
}
