"""Finds the node that a request's path names (`holder_path.py`), whatever the ring says. Pure.

What the path stands for is in that node's memory and nowhere else, so the node is asked whatever its checks and
heartbeats say, while anybody may listen at its address. Only where nobody does is the request placed by its key, as if
the path named nobody, and whoever gets it says that it knows nothing.
"""

from collections.abc import Collection

from ..holder_path import HolderPath, hint
from .fleet import Fleet
from .health import State
from .node import Node
from .policy import Refuse

# A node whose heartbeats are missing leaves the membership, but it may live: it is asked for so long afterwards. Not
# longer, because somebody else may get its address.
LEFT_S = 60.0
# A node that has been dead for so long, and takes no connection, is no longer waited for.
LOST_S = 30.0


class Holders:
    """The members by hint, and those that left a short time ago because their heartbeats were missing.

    `counts` is how often one was `asked`, was `away` (nobody listens, or it was tried) or `unknown`.
    """

    def __init__(self, path: HolderPath, fleet: Fleet) -> None:
        self._path = path
        self._fleet = fleet
        self._nodes: dict[str, Node] = {}
        self._by_hint: dict[bytes, Node] = {}
        self.counts = {"asked": 0, "away": 0, "unknown": 0}

    def find(self, target: bytes, tried: Collection[Node], *, late: bool = False) -> Node | Refuse | None:
        """The node that the target names; None: place it by its key; Refuse: nobody else may say that it is unknown.

        `tried` for this request; `late`: no connection was made in time, which may happen with a node that lives.
        """
        named = self._path.hint(target)
        if not named:
            return None
        if self._nodes is not self._fleet.nodes:
            self._learn(self._fleet.nodes)
        node = self._by_hint.get(named) or self._remembered(named)
        if node is None:
            self.counts["unknown"] += 1
            return None
        health = node.health
        dead = health.state is State.DEAD
        if node in tried:
            self.counts["away"] += 1
            lost = dead and self._fleet.now - health.since > LOST_S
            return Refuse("the node that the path names does not answer") if late and not lost else None
        # `open` although it is dead: panic mode, in which checks are not believed.
        away = dead and health.refused and not node.open
        self.counts["away" if away else "asked"] += 1
        return None if away else node

    def _remembered(self, named: bytes) -> Node | None:
        """The last node of this name that left a short time ago for want of heartbeats.

        Not one that removed its entry at its end, nor one that an operator removed.
        """
        for node in reversed(self._fleet.left):
            if self._fleet.now - node.left_at > LEFT_S:
                break
            if named in (hint(node.member.id), hint(node.member.address)):
                taken = any(one.member.address == node.member.address for one in self._nodes.values())
                return node if node.silent and not taken else None
        return None

    def _learn(self, nodes: dict[str, Node]) -> None:
        """The membership is another one: the fleet has a new dictionary then."""
        self._nodes = nodes
        # A node that was given no id calls itself by its address, whatever the command line of the balancer calls it.
        self._by_hint = {hint(node.member.address): node for node in nodes.values()}
        self._by_hint |= {hint(name): node for name, node in nodes.items()}
