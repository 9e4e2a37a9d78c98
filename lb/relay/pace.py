"""The minimum rate of a body: a slow phone finishes, a phone in a tunnel goes on, a trickle or a dead client is cut.

Two limits, and nothing else: no byte for `stall_s` seconds, and on average less than `rate` bytes a second after the
first `grace_s` seconds. A silence of up to `stall_s` may come at any time and any number of times, as long as the
average holds; a body takes at most `grace_s` seconds plus its length at that rate. Every byte counts. Time counts only
while the balancer reads: not while it looks for a node, nor while the node takes nothing. The nodes of this project
have the same rule (`ingest/body/pace.py`); `tests/contract/test_body_pace.py` compares the two. Pure: the caller passes
the time.
"""

from typing import Final

# The first check of a body charges up to a second in which it had not begun, and a silence begins between two checks.
CHECK_S: Final = 1.0


class Pace:
    """Time and bytes of one body: `seconds` in which it was due, the last `silent_s` of them without a byte."""

    __slots__ = ("_grace_s", "_rate", "_stall_s", "received", "seconds", "silent_s")

    def __init__(self, *, grace_s: float, stall_s: float, rate: int) -> None:
        self._grace_s = grace_s
        self._stall_s = stall_s
        self._rate = rate
        self.received = 0
        self.seconds = self.silent_s = 0.0

    def charge(self, seconds: float, received: int) -> bool:
        """Count bytes, and the time in which they were due (0 while nobody read); False when the body is too slow."""
        self.received += received
        self.seconds += seconds
        self.silent_s = 0.0 if received else self.silent_s + seconds
        late_s = self.seconds - self._grace_s - self.received / self._rate
        return self.silent_s <= self._stall_s + CHECK_S and late_s <= CHECK_S

    @property
    def slow(self) -> bool:
        """Whether the sender explains a node's 408: near a limit (see `charge`), or silent since its first moment.

        The second is for nodes that are stricter than these limits. Not for a silence of a moment: `seconds` stand
        still while nobody reads, so nearly all of a few of them may be one.
        """
        late_s = self.seconds - self._grace_s - self.received / self._rate
        near = self.silent_s >= self._stall_s - CHECK_S or late_s >= -CHECK_S
        return near or self.silent_s >= max(self.seconds - CHECK_S, 2 * CHECK_S)

    def __str__(self) -> str:
        """What was measured, and the limits, for the client."""
        return (
            f"{self.received} bytes of the body came in {self.seconds:.0f} s, and none in the last "
            f"{self.silent_s:.0f} s. The limits are {self._rate} bytes a second on average after the first "
            f"{self._grace_s} s, and {self._stall_s} s without a byte."
        )
