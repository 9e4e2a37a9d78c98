"""Which nodes of a key's order have refused a request: its retry goes to the next one.

A request refused by a node (503, 507) or failed there (502, 504) comes back with a ticket (`tickets.py`), and by its
key it would go home to that same node, for as many tries as its client has. So the ticket says which places of the
key's order have had it, a bit each. An order is made of the members alone, so its places mean the same at any balancer
and whatever the nodes' health is meanwhile. When every node to choose from has had it, the round begins anew. Pure.
"""

from collections.abc import Collection, Iterable
from itertools import islice
from typing import TypeVar

PLACES = 8  # A client tries six times; nodes further down the order are not noted.

N = TypeVar("N")


def refusers(order: Iterable[N], refused: int) -> list[N]:
    """The nodes at the places noted."""
    return [node for place, node in enumerate(islice(order, PLACES)) if refused >> place & 1]


def noted(order: Iterable[N], node: N, refused: int, usable: Collection[N]) -> int:
    """The places with this node's too; none when no usable node is left, so that the next try is at home again."""
    first = list(islice(order, PLACES))
    if node not in first:
        return refused
    refused |= 1 << first.index(node)
    had = refusers(first, refused)
    return refused if any(other not in had for other in usable) else 0
