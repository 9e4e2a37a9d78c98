"""When to say in the log that something failed, and that it works again: once each, however many uploads meet it.

Pure: time comes in. Where some of several servers fail, uploads meet both in turn; so it works again only when nobody
has met a failure for a while.
"""

from typing import Final

QUIET_S: Final = 10.0


class Outage:
    """Of one thing that uploads need."""

    def __init__(self) -> None:
        self._failed_at: float | None = None

    def failed(self, now: float) -> bool:
        """Somebody met a failure; whether it is the first one, to be told."""
        first = self._failed_at is None
        self._failed_at = now
        return first

    def worked(self, now: float) -> bool:
        """Somebody met none; whether it works again since just now, to be told."""
        again = self._failed_at is not None and now - self._failed_at > QUIET_S
        if again:
            self._failed_at = None
        return again
