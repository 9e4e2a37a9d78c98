"""When 5xx answers and broken connections eject a node (passive checks).

One user can make one URL fail any number of times, so failures are counted by user. 5xx answers eject a node only when
several users got one within the window, at least half of the node's answers were 5xx, and the other nodes do better:
what fails everywhere (an unreachable store, a bad release) is not this node's fault, and ejecting every node in turn
repairs nothing. A broken connection counts immediately, but at most once per user and window. Pure.
"""

from collections.abc import Collection
from typing import Protocol, TypeVar

WINDOW_S = 10.0
USERS_MAX = 64  # More distinct users than this prove nothing further.


class Faults:
    """The failures of one node in this window; 5xx to `users` distinct users make it suspicious."""

    __slots__ = ("_failed", "_reset", "_users", "failures", "good")

    def __init__(self, users: int) -> None:
        self._users = users
        self._failed: set[bytes] = set()
        self._reset: set[bytes] = set()
        self.good = self.failures = 0

    def failed(self, user: bytes) -> bool:
        """Count a 5xx answer to this user, or an upload that is stalled; whether the node is suspicious now."""
        self.failures += 1
        if len(self._failed) < USERS_MAX:
            self._failed.add(user)
        return self.suspicious

    @property
    def suspicious(self) -> bool:
        """Whether several users got 5xx answers, and these are at least half of all."""
        return len(self._failed) >= self._users and self.failures >= self.good

    def worse_than(self, good: int, failures: int) -> bool:
        """Whether this node's rate of failures is at least twice that of the other nodes, whose answers these were."""
        return self.failures * (good + failures) >= 2 * failures * (self.good + self.failures)

    def reset(self, user: bytes) -> bool:
        """Count a broken connection of this user; False when it does not count again in this window."""
        if user in self._reset or len(self._reset) >= USERS_MAX:
            return False
        self._reset.add(user)
        return True

    def clear_failures(self) -> None:
        """Forget the 5xx answers so far: they have ejected the node."""
        self._failed.clear()
        self.good = self.failures = 0

    def begin_window(self) -> None:
        """Begin a new window."""
        self.clear_failures()
        self._reset.clear()


class HasFaults(Protocol):
    """A node, as a window sees it."""

    faults: Faults


J = TypeVar("J", bound=HasFaults)


class Window:
    """The window in which all nodes are compared; `failing` once any is suspicious."""

    __slots__ = ("_since", "failing")

    def __init__(self) -> None:
        self._since = 0.0
        self.failing = False

    def faulty(self, nodes: Collection[J], now: float) -> list[J]:
        """The nodes to eject now. Called often; it also begins the next window when this one is over."""
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
            node.faults.clear_failures()
        if now - self._since >= WINDOW_S:
            self._since = now
            for node in nodes:
                node.faults.begin_window()
        return found
