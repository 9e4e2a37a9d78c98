"""Which nodes of a key's order have refused a request, so that its retry goes to another node. Pure.

The retry of a request that a node refused (503, 507) or failed (502, 504) has the same key, so it would go to the same
node again, at every try. So its ticket names the positions of the key's order whose nodes have refused it, a bit each.
The order depends on the members alone, so a position means the same node at every balancer, whatever its health. When
all usable nodes have refused it, the bits are cleared.
"""

from collections.abc import Collection, Iterable
from itertools import islice
from typing import TypeVar

POSITIONS = 8  # Bits that a ticket has. A client tries six times; nodes further down the order are not recorded.

N = TypeVar("N")


def refusers(order: Iterable[N], refused: int) -> list[N]:
    """The nodes at these positions."""
    return [node for position, node in enumerate(islice(order, POSITIONS)) if refused >> position & 1]


def noted(order: Iterable[N], node: N, refused: int, usable: Collection[N]) -> int:
    """The positions with this node's added; none when all usable nodes have refused: the next try begins at home."""
    first = list(islice(order, POSITIONS))
    if node not in first:
        return refused
    refused |= 1 << first.index(node)
    had = refusers(first, refused)
    return refused if any(other not in had for other in usable) else 0
