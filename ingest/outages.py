"""Decides when to log that a dependency fails, and that it works again: once each, however many uploads are affected.

Pure: time comes in. If one of several servers fails, failures and successes alternate; so the outage is over only after
a while without failures.
"""

from typing import Final

QUIET_S: Final = 10.0


class Outage:
    """The outage of one dependency of uploads."""

    def __init__(self) -> None:
        self._failed_at: float | None = None

    def failed(self, now: float) -> bool:
        """Record a failure; returns whether it is the first of an outage, to be logged."""
        first = self._failed_at is None
        self._failed_at = now
        return first

    def worked(self, now: float) -> bool:
        """Record a success; returns whether the outage is over with it, to be logged."""
        again = self._failed_at is not None and now - self._failed_at > QUIET_S
        if again:
            self._failed_at = None
        return again
