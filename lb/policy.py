"""Which node serves a key: the policies, each a few lines over the key's order of preference.

`ring` is consistent hashing with bounded load: the first node in the key's order that is healthy and under its cap.
The cap is c times the fair share of the requests in flight (Mirrokni et al. 2016), but never under a floor, so that an
idle system never spills and affinity holds. A spilled key goes to the next node of its own order, always the same one.
Only when no healthy node is left are suspect and joining ones used. Pure: nodes come in as values, a node goes out.
"""

from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import Protocol, TypeVar

import msgspec


class Rank(IntEnum):
    """How willingly a node is used: first choice, only when nothing better is there, never."""

    PREFERRED = 0
    LAST_RESORT = 1
    NEVER = 2


class Candidate(Protocol):
    """What a policy sees of a node."""

    weight: int
    in_flight: int

    @property
    def rank(self) -> Rank:
        """How willingly it is used."""


class Crowd(msgspec.Struct, frozen=True, gc=False):
    """The load of all: requests in flight, and the summed weight of the preferred nodes."""

    in_flight: int
    weight: int


class Bound(msgspec.Struct, frozen=True):
    """The bounded-load rule: `factor` in percent of the fair share (125 = a quarter above), `floor` in requests."""

    factor: int
    floor: int


class Refuse(msgspec.Struct, frozen=True):
    """No node can take the key; `reason` is for the log and the client."""

    reason: str


C = TypeVar("C", bound=Candidate)
Policy = Callable[[Iterable[C], Crowd, Bound], C | Refuse]


def ring(order: Iterable[C], crowd: Crowd, bound: Bound) -> C | Refuse:
    """The first preferred node under its cap, else the first preferred, else the first last resort."""
    fullest: C | None = None
    last_resort: C | None = None
    for node in order:
        if node.rank is Rank.PREFERRED:
            if node.in_flight < cap(node.weight, crowd, bound):
                return node
            fullest = fullest or node
        elif node.rank is Rank.LAST_RESORT:
            last_resort = last_resort or node
    return fullest or last_resort or Refuse("no healthy node")


def cap(weight: int, crowd: Crowd, bound: Bound) -> int:
    """Requests that a node of this weight may have in flight; the one that asks is counted in."""
    fair = bound.factor * (crowd.in_flight + 1) * weight
    return max(bound.floor, -(-fair // (100 * max(crowd.weight, 1))))


POLICIES = {"ring": ring}
