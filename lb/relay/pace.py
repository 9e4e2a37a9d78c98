"""The minimum data rate of a body: a slow phone finishes, a trickle meant to hold a connection is cut.

Time is a credit in seconds that passes by and that bytes earn back: `grace` at the start, never more than `stall`, one
second for each `rate` bytes. 64 kbit/s earns eight seconds a second at 1,000 B/s and never runs dry; one byte a second
is cut after the grace. Time in which we did not read is not charged. Pure: the caller says how much time went by.
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
        # Time first: with a stall as short as the time between two looks, no rate could keep such a credit.
        self.credit = min(self._stall, self.credit - seconds + received / self._rate)
        return self.credit >= 0
