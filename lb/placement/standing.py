"""Which nodes take keys now: ranks each node by its health, and decides on panic mode.

Healthy nodes are preferred; joining and suspect ones are a last resort; dead and draining ones are not used. Panic mode
begins when checks, missed heartbeats, broken connections and 5xx have ejected more weight than is healthy: then the
checks are more likely wrong than the nodes, or all nodes are overloaded alike, so health is ignored. A refused
connection is proof that nobody listens: such a node gets no request even in panic mode, and its weight counts neither
as healthy nor as ejected. Pure; it writes the rank into the nodes.
"""

from collections.abc import Iterable

import msgspec

from .health import State
from .node import Node
from .policy import Rank

PANIC = "panic mode: more than half the weight is ejected, ignoring health; look for what all nodes depend on"
CALM = "panic mode ended: at least half of the node weight is healthy again; ejected nodes get no new requests"
TROUBLED = frozenset({State.SUSPECT, State.DEAD})
_RANKS = {State.HEALTHY: Rank.PREFERRED, State.JOINING: Rank.LAST_RESORT, State.SUSPECT: Rank.LAST_RESORT}


class Standing(msgspec.Struct, frozen=True):
    """The preferred nodes by id, the same as a set, and their weight.

    `zone_weight` is the weight of this balancer's zone, healthy or not; `panic` says that health is ignored.
    """

    preferred: list[Node] = msgspec.field(default_factory=list)
    among: frozenset[Node] = frozenset()
    weight: int = 0
    zone_weight: int = 0
    panic: bool = False


def rank_nodes(nodes: Iterable[Node], zone: str) -> Standing:
    """Rank the nodes, which are sorted by id, and sum up their weights; `zone` is this balancer's."""
    serving: list[Node] = []
    for node in nodes:
        node.rank = _RANKS.get(node.health.state, Rank.NEVER)
        node.open = node.rank is Rank.PREFERRED
        if node.health.state is not State.DRAINING and node.weight:
            serving.append(node)
    # Ejected by checks or failed requests; a refused connection is proof and counts on neither side.
    judged = [node for node in serving if node.health.state in TROUBLED and not node.health.refused]
    panic = sum(node.weight for node in serving if node.open) < sum(node.weight for node in judged)
    for node in judged if panic else ():
        node.rank, node.open = Rank.PREFERRED, True
    preferred = [node for node in serving if node.open]
    return Standing(
        preferred,
        frozenset(preferred),
        sum(node.weight for node in preferred),
        sum(node.weight for node in serving if node.zone == zone),
        panic,
    )
