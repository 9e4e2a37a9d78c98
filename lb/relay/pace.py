"""The minimum data rate of a body: a slow phone finishes, a trickle that only holds a connection is cut.

A body has a credit in seconds: `grace` at the start, at most `stall`. Time reduces it, and each `rate` bytes add one
second. At 1,000 B/s a phone with 64 kbit/s earns eight seconds a second and never runs out; one byte a second is cut
after the grace. Time in which the balancer did not read is not charged. Pure: the caller passes the time.
"""


class Pace:
    """The credit of one body."""

    __slots__ = ("_rate", "_stall", "credit")

    def __init__(self, *, grace_s: float, stall_s: float, rate: int) -> None:
        self.credit = grace_s
        self._stall = stall_s
        self._rate = rate

    def charge(self, seconds: float, received: int) -> bool:
        """Charge the time and credit the bytes received in it; False when the body is too slow."""
        # Time and bytes in one step: a stall as short as the time between two checks would else run out at any rate.
        self.credit = min(self._stall, self.credit - seconds + received / self._rate)
        return self.credit >= 0
