"""`Retry-After` for shed clients: each client's slot in a virtual queue that moves at the node's commit rate.

Each shed client gets the next slot, and `Retry-After` is the time until that slot. So clients return as fast as they
can be served, however many were shed at once, and because they bring tickets they are admitted before first attempts.
Seconds are rounded up or down at random, which spreads clients within each second. For a queue longer than a minute the
rate is no usable forecast: further clients are spread over the second half of that minute and get a new slot when they
return. Pure: time, rate and random numbers come in.
"""

from typing import Final

WAIT_S_MAX: Final = 60
RATE_MIN: Final = 2.0  # per second; for a node without recent commits
AWAY_S: Final = 5


class Returns:
    """The end of the virtual queue, in the caller's monotonic time."""

    def __init__(self) -> None:
        self._end = 0.0

    def retry_after_s(self, now: float, rate: float, fraction: float) -> int:
        """Seconds (1 to 60) for one more client, at `rate` commits per second; `fraction` is random in [0, 1)."""
        self._end = max(self._end, now) + 1 / max(rate, RATE_MIN)
        wait_s = self._end - now
        if wait_s > WAIT_S_MAX:
            self._end = now + WAIT_S_MAX
            wait_s = WAIT_S_MAX * (1 + fraction) / 2
        return max(1, int(wait_s + fraction))


def when_away_s(fraction: float) -> int:
    """Random seconds (1 to 5) while the store does not answer, because its recovery time is unknown."""
    return 1 + int(fraction * AWAY_S)
