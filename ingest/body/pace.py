"""The minimum rate of a body, by the same rule as in the balancer (`lb/relay/pace.py`).

Two limits: no byte for `stall_s` seconds, and on average less than `rate` bytes a second after the first `grace_s`
seconds. A balancer in front measures the phone itself, and holds some bytes back, so the node's seconds are more than
the balancer's (`config.py`): what the balancer passes on is never cut here. Neither package may import the other, and
`tests/contract/test_body_pace.py` compares them. Pure: the caller passes the time.
"""


class Pace:
    """Time and bytes of one body that is due since `began`."""

    __slots__ = ("_grace_s", "_rate", "_stall_s", "began", "moved_at", "received")

    def __init__(self, began: float, *, grace_s: float, stall_s: float, rate: int) -> None:
        self._grace_s = grace_s
        self._stall_s = stall_s
        self._rate = rate
        self.began = self.moved_at = began
        self.received = 0

    def moved(self, now: float, received: int) -> None:
        """Record that `received` bytes have come in all."""
        if received > self.received:
            self.received, self.moved_at = received, now

    def pardon(self, seconds: float) -> None:
        """Charge no time for seconds in which the node did not run."""
        self.began += seconds
        self.moved_at += seconds

    def due(self) -> float:
        """When the body is too slow, unless bytes come before."""
        return min(self.moved_at + self._stall_s, self.began + self._grace_s + self.received / self._rate)

    def told(self, now: float) -> str:
        """What was measured, and the limits, for the client."""
        return (
            f"{self.received} bytes of the body came in {now - self.began:.0f} s, and none in the last "
            f"{now - self.moved_at:.0f} s; the limits are {self._rate} bytes a second on average after the first "
            f"{self._grace_s:g} s, and {self._stall_s:g} s without a byte"
        )
