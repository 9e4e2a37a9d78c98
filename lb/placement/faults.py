"""When a node's own answers and broken connections speak against it.

One user can make one URL fail as often as he likes, so failures are counted by user: 5xx answers eject a node only when
several distinct keys met one within the window, at least half of its answers there were such, and its peers do better:
what fails everywhere (a store that is away, a bad release) is not this node's, and ejecting all in turn mends nothing.
A broken connection counts at once, but once a window for each key. Pure: the fleet says when a window is over.
"""

from collections.abc import Collection
from typing import Protocol, TypeVar

WINDOW_S = 10.0
KEYS_MAX = 64  # More distinct users than this prove nothing further.


class Faults:
    """What one node did to its users in this window; `users` distinct ones make it suspicious."""

    __slots__ = ("_failed", "_reset", "_users", "failures", "good")

    def __init__(self, users: int) -> None:
        self._users = users
        self._failed: set[bytes] = set()
        self._reset: set[bytes] = set()
        self.good = self.failures = 0

    def failed(self, key: bytes) -> None:
        """This user got a 5xx."""
        self.failures += 1
        if len(self._failed) < KEYS_MAX:
            self._failed.add(key)

    @property
    def suspicious(self) -> bool:
        """Whether several users got 5xx, and they are half of the answers."""
        return len(self._failed) >= self._users and self.failures >= self.good

    def worse_than(self, good: int, failures: int) -> bool:
        """Whether this node's part of failures is at least twice its peers', whose answers these were."""
        return self.failures * (good + failures) >= 2 * failures * (self.good + self.failures)

    def reset(self, key: bytes) -> bool:
        """The connection of this user's request broke; False when that is already counted."""
        if key in self._reset or len(self._reset) >= KEYS_MAX:
            return False
        self._reset.add(key)
        return True

    def judged(self) -> None:
        """The 5xx so far have had their consequence."""
        self._failed.clear()
        self.good = self.failures = 0

    def forget(self) -> None:
        """A new window begins."""
        self.judged()
        self._reset.clear()


class Judged(Protocol):
    """Whom a window judges."""

    faults: Faults


J = TypeVar("J", bound=Judged)


class Window:
    """The time in which all nodes are compared; `failing` once any is suspicious."""

    __slots__ = ("_since", "failing")

    def __init__(self) -> None:
        self._since = 0.0
        self.failing = False

    def guilty(self, nodes: Collection[J], now: float) -> list[J]:
        """Who fails users while the others do not; told often, it also begins a new window when its time has come."""
        found: list[J] = []
        if self.failing:
            self.failing = False
            everybody = [node.faults for node in nodes]
            good, failures = sum(each.good for each in everybody), sum(each.failures for each in everybody)
            for node in nodes:
                own = node.faults
                if own.suspicious and own.worse_than(good - own.good, failures - own.failures):
                    found.append(node)
        for node in found:
            node.faults.judged()
        if now - self._since >= WINDOW_S:
            self._since = now
            for node in nodes:
                node.faults.forget()
        return found
