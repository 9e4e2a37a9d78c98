"""Finds the node that a request's path names (`holder_path.py`), whatever the ring says. Pure.

It is asked although it drains or has no share: what the path stands for is in its memory and nowhere else. A dead node
is not; then the request goes by its key, as if the path named nobody, and whoever gets it says that it knows nothing.
"""

from collections.abc import Collection

from ..holder_path import HolderPath, hint
from .fleet import Fleet
from .health import State
from .node import Node


class Holders:
    """The members by hint; `counts` is how often one was `asked`, was `away` (dead or not reachable) or `unknown`."""

    def __init__(self, path: HolderPath, fleet: Fleet) -> None:
        self._path = path
        self._fleet = fleet
        self._nodes: dict[str, Node] = {}
        self._by_hint: dict[bytes, Node] = {}
        self.counts = {"asked": 0, "away": 0, "unknown": 0}

    def find(self, target: bytes, tried: Collection[Node]) -> Node | None:
        """The node that the target names, unless it was tried for this request or is dead."""
        named = self._path.hint(target)
        if not named:
            return None
        if self._nodes is not self._fleet.nodes:
            self._learn(self._fleet.nodes)
        node = self._by_hint.get(named)
        if node is None:
            self.counts["unknown"] += 1
            return None
        # `open` although it is dead: panic mode, in which checks are not believed.
        away = node in tried or (node.health.state is State.DEAD and not node.open)
        self.counts["away" if away else "asked"] += 1
        return None if away else node

    def _learn(self, nodes: dict[str, Node]) -> None:
        """The membership is another one: the fleet has a new dictionary then."""
        self._nodes = nodes
        # A node that was given no id calls itself by its address, whatever the command line of the balancer calls it.
        self._by_hint = {hint(node.member.address): node for node in nodes.values()}
        self._by_hint |= {hint(name): node for name, node in nodes.items()}
