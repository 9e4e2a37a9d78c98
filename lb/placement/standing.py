"""Which nodes take keys now: from each node's health to its rank, and when to stop believing judgements.

Healthy nodes are preferred; joining and suspect ones are the last resort; dead and draining ones are not used. When
judgements (checks, silence, broken connections, 5xx) have ejected more weight than is healthy, the judge is more
likely to be wrong, or all are overloaded alike: panic, and the ejected are preferred again. A refused connection is a
fact, not a judgement: such a node is used by nobody and counts on neither side. Pure, but for the marks on the nodes.
"""

from collections.abc import Iterable

import msgspec

from .health import State
from .node import Node
from .policy import Rank

PANIC = "panic mode: more than half the weight is ejected, ignoring health; look for what all nodes depend on"
CALM = "panic mode ends: half the weight is healthy again, ejected nodes get no new requests"
TROUBLED = frozenset({State.SUSPECT, State.DEAD})
_RANKS = {State.HEALTHY: Rank.PREFERRED, State.JOINING: Rank.LAST_RESORT, State.SUSPECT: Rank.LAST_RESORT}


class Standing(msgspec.Struct, frozen=True):
    """The preferred nodes by id, the same as a set, their weight, that of the zone whoever is up, and panic."""

    preferred: list[Node] = msgspec.field(default_factory=list)
    among: frozenset[Node] = frozenset()
    weight: int = 0
    zone_weight: int = 0
    panic: bool = False


def stand(nodes: Iterable[Node], zone: str) -> Standing:
    """Rank the nodes, given by id, and sum them up; `zone` is this balancer's."""
    serving: list[Node] = []
    for node in nodes:
        node.rank = _RANKS.get(node.health.state, Rank.NEVER)
        node.open = node.rank is Rank.PREFERRED
        if node.health.state is not State.DRAINING and node.weight:
            serving.append(node)
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
