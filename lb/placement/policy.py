"""Which node serves a key: the policies, each a few lines over what is usable and the key's order of preference.

`ring` is consistent hashing with bounded load: the first node in the key's order that is under its cap. The cap is c
times the fair share of the bytes in flight (Mirrokni et al. 2016), but never under a floor, so that an idle system
never spills and affinity holds. A spilled key goes to the next node of its own order, always the same one.
The caps of several balancers add up: each keeps every node under c times the fair share of its own bytes, plus the one
request that met the cap, so their sum is under c times the fair share of all bytes, plus one request each.
Health is decided before: a policy sees usable nodes only. Pure: `turn` is the number of the request, not a clock.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from enum import IntEnum
from itertools import accumulate
from typing import Generic, Protocol, TypeVar

import msgspec

_GOLDEN = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio: its multiples fill the circle evenly.

EWMA_S_MIN = 0.001  # What a node that has not answered yet is taken for; zero would send everything to it.


class Rank(IntEnum):
    """How willingly a node is used: first choice, only when nothing better is there, never."""

    PREFERRED = 0
    LAST_RESORT = 1
    NEVER = 2


class Candidate(Protocol):
    """What a policy sees of a node; `load` is bytes in flight, `ewma_s` its answer time, slow answers counting most."""

    weight: int
    zone: str
    in_flight: int
    load: int
    ewma_s: float


class Crowd(msgspec.Struct, frozen=True, gc=False):
    """All nodes: bytes in flight, with the request that asks; weight of the preferred; of this zone, whoever is up."""

    load: int
    weight: int
    zone_weight: int = 0


class Bound(msgspec.Struct, frozen=True):
    """The bounded-load rule: `factor` in percent of the fair share (125 = a quarter above), `floor` in bytes."""

    factor: int
    floor: int


class Refuse(msgspec.Struct, frozen=True):
    """No node can take the key; `reason` is for the log and the client."""

    reason: str


C = TypeVar("C", bound=Candidate)


class Choice(Generic[C]):
    """One question: `order` walks the usable nodes as the key prefers them, `nodes` lists them by id, never empty."""

    __slots__ = ("bound", "crowd", "nodes", "order", "turn", "zone")

    def __init__(
        self,
        order: Callable[[], Iterator[C]],
        nodes: list[C],
        *,
        crowd: Crowd,
        bound: Bound,
        turn: int = 0,
        zone: str = "",
    ) -> None:
        self.order, self.nodes = order, nodes
        self.crowd, self.bound, self.turn, self.zone = crowd, bound, turn, zone


Policy = Callable[[Choice[C]], C]


def cap(weight: int, load: int, weights: int, bound: Bound) -> int:
    """Bytes in flight at which a node of this weight takes no more."""
    fair = bound.factor * load * weight
    return max(bound.floor, -(-fair // (100 * max(weights, 1))))


def ring(choice: Choice[C]) -> C:
    """The first node of the key's order under its cap, else simply the first."""
    crowd, bound = choice.crowd, choice.bound
    under = (node for node in choice.order() if node.load < cap(node.weight, crowd.load, crowd.weight, bound))
    return next(under, None) or next(choice.order())


def zone_aware(choice: Choice[C]) -> C:
    """The ring among the nodes of this balancer's zone; what they cannot take, because some are down, goes to all."""
    load, weights, bound = choice.crowd.load, choice.crowd.zone_weight, choice.bound
    near = (node for node in choice.order() if node.zone == choice.zone)
    return next((node for node in near if node.load < cap(node.weight, load, weights, bound)), None) or ring(choice)


def ip_hash(choice: Choice[C]) -> C:
    """The first node of the order, however full; the key is the client's address (`server.py` sees to it)."""
    return next(choice.order())


def round_robin(choice: Choice[C]) -> C:
    """Each in turn."""
    nodes = choice.nodes
    return nodes[choice.turn % len(nodes)]


def weighted(choice: Choice[C]) -> C:
    """In turn by weight, the turns of a heavy node spread evenly between those of the others."""
    nodes = choice.nodes
    marks = list(accumulate(node.weight for node in nodes))
    return nodes[bisect_right(marks, ((choice.turn * _GOLDEN) % 2**64 * marks[-1]) >> 64, hi=len(marks) - 1)]


def least_connections(choice: Choice[C]) -> C:
    """The fewest requests in flight for its weight; equals in turn."""
    return min(_in_turn(choice), key=lambda node: (node.in_flight + 1) / max(node.weight, 1))


def peak_ewma(choice: Choice[C]) -> C:
    """The shortest expected wait: answer time (a moving average that jumps to each peak) times requests in flight."""
    return min(
        _in_turn(choice), key=lambda node: max(node.ewma_s, EWMA_S_MIN) * (node.in_flight + 1) / max(node.weight, 1)
    )


def _in_turn(choice: Choice[C]) -> list[C]:
    """The usable nodes, another one first each time."""
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
