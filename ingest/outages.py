"""Decides when to log: an outage of a dependency once when it begins and once when it is over, a burst once a second.

Pure: time comes in. If one of several servers fails, failures and successes alternate; so the outage is over only after
a while without failures.
"""

from typing import Final

QUIET_S: Final = 10.0


BURST_S: Final = 1.0


class Bursts:
    """Which of many log lines of one kind are written: one a second. The kinds are few and known to the caller."""

    def __init__(self) -> None:
        self._written_at: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def counted(self, kind: str, now: float) -> int | None:
        """How many lines were left out since the last one that was written; None when this one is left out."""
        if now - self._written_at.get(kind, float("-inf")) < BURST_S:
            self._left_out[kind] = self._left_out.get(kind, 0) + 1
            return None
        self._written_at[kind] = now
        return self._left_out.pop(kind, 0)


class Outage:
    """The outage of one Redis, as far as uploads need it."""

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
