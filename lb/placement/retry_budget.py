"""The retry budget: how many requests may be moved to another node, as a part of all requests.

Without a budget, nodes that accept connections and then fail get each request several times, and an outage grows. It is
counted over the last ten to twenty seconds: at most `percent` of the requests begun, and never less than `floor`, so
that a quiet system retries too. Pure: the time and the number of requests since start come in.
"""

WINDOW_S = 10.0


class Budget:
    """The retries of one balancer."""

    __slots__ = ("_bases", "_percent", "_since", "_spent", "floor")

    def __init__(self, *, percent: int, floor: int) -> None:
        self._percent = percent
        self.floor = floor
        self._since = 0.0
        self._bases = [0, 0]
        self._spent = [0, 0]

    def turn(self, now: float, requests: int) -> None:
        """Advance the time; called often. `requests` is the number begun since start."""
        if now - self._since < WINDOW_S:
            return
        recent = now - self._since < 2 * WINDOW_S
        self._since = now
        self._bases = [self._bases[1] if recent else requests, requests]
        self._spent = [self._spent[1] if recent else 0, 0]

    def spend(self, requests: int) -> bool:
        """Whether one more request may be moved now; then it is counted."""
        if sum(self._spent) >= max(self.floor, (requests - self._bases[0]) * self._percent // 100):
            return False
        self._spent[1] += 1
        return True
