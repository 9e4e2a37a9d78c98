"""When a node's own answers and broken connections speak against it.

One user can make one URL fail as often as he likes, so failures are counted by user: 5xx answers eject a node only when
several distinct keys met one within the window and at least half of its answers there were such; a broken connection
counts at once, but once a window for each key. Pure: keys and the time come in.
"""

WINDOW_S = 10.0
KEYS_MAX = 64  # More distinct users than this prove nothing further.


class Faults:
    """What one node did to its users lately; `users` distinct ones make it guilty."""

    __slots__ = ("_failed", "_reset", "_since", "_users", "failures", "good")

    def __init__(self, users: int) -> None:
        self._users = users
        self._since = 0.0
        self._failed: set[bytes] = set()
        self._reset: set[bytes] = set()
        self.good = self.failures = 0

    def failed(self, key: bytes, now: float) -> bool:
        """This user got a 5xx; whether the node is guilty now, which clears the count."""
        self._turn(now)
        self.failures += 1
        if len(self._failed) < KEYS_MAX:
            self._failed.add(key)
        guilty = len(self._failed) >= self._users and self.failures >= self.good
        if guilty:
            self._clear(now)
        return guilty

    def reset(self, key: bytes, now: float) -> bool:
        """The connection of this user's request broke; False when that is already counted."""
        self._turn(now)
        if key in self._reset or len(self._reset) >= KEYS_MAX:
            return False
        self._reset.add(key)
        return True

    def _turn(self, now: float) -> None:
        if now - self._since >= WINDOW_S:
            self._clear(now)
            self._reset.clear()

    def _clear(self, now: float) -> None:
        self._since = now
        self._failed.clear()
        self.good = self.failures = 0
