"""When shed clients should come back: one after another at the rate that the node commits, a queue kept on the phones.

Each client that is sent away gets the next place in a line that moves at the measured rate, and `Retry-After` is the
time until that place. So those that return come as fast as they can be taken, however many were sent away together,
and because they bring tickets they are taken before those who come for the first time. Seconds are rounded up or down
by chance, which spreads clients within each second. A line longer than a minute says nothing of the rate then: from
there on clients are spread over its second half and told anew when they ask. Pure: time, rate and chance come in.
"""

from typing import Final

WAIT_S_MAX: Final = 60
RATE_MIN: Final = 2.0  # a second; for a node that has committed nothing lately
AWAY_S: Final = 5


class Returns:
    """The end of the line, on the caller's steady clock."""

    def __init__(self) -> None:
        self._end = 0.0

    def retry_after_s(self, now: float, rate: float, fraction: float) -> int:
        """Seconds to wait for one more client, 1 to 60, at so many commits a second; `fraction` by chance in [0, 1)."""
        self._end = max(self._end, now) + 1 / max(rate, RATE_MIN)
        wait_s = self._end - now
        if wait_s > WAIT_S_MAX:
            self._end = now + WAIT_S_MAX
            wait_s = WAIT_S_MAX * (1 + fraction) / 2
        return max(1, int(wait_s + fraction))


def when_away_s(fraction: float) -> int:
    """Seconds to wait for a store that does not answer, 1 to 5 by chance: nothing is known of when it will."""
    return 1 + int(fraction * AWAY_S)
