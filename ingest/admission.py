"""Whether this node takes one more request, decided before a body is read: by memory, by the store's speed, by rank.

Pure: the caller says when an upload comes and when it ends. An upload counts with its announced length from the start,
because what was admitted must fit when it arrives. Over a bound the answer is 503 at once: an upload refused in a
millisecond costs nothing, one that is queued costs memory and then fails anyway.

Who comes first when not all can: holders of a ticket, whom we have turned away before; then first tries inside the
window; then late posts; then reads. Each rank has its part of every bound, so that there is room for the next better.
"""

from enum import Enum
from typing import Final

import msgspec

from .commits import Commits

READS_PERCENT: Final = 70  # of the budget used by uploads, from which reads are shed


class Rank(Enum):
    """An upload's rank: percent of the memory budget it may fill, and the wait for a PUT it is worth, in seconds."""

    HOLDER = (100, 1.5)
    FIRST = (90, 1.0)
    LATE = (80, 0.5)

    @classmethod
    def of(cls, *, retry: bool, late: bool) -> "Rank":
        """By whether it brought a ticket, and whether it came after the window."""
        return cls.HOLDER if retry else cls.LATE if late else cls.FIRST


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """What may be in flight in one node."""

    requests_max: int
    bytes_max: int
    reads_max: int


class Admission:
    """Counts what is in flight."""

    def __init__(self, budget: Budget, commits: Commits) -> None:
        self.budget = budget
        self.commits = commits
        self.requests = 0
        self.bytes = 0
        self.reads = 0

    def __repr__(self) -> str:
        return (
            f"<Admission {self.requests}/{self.budget.requests_max} requests, "
            f"{self.bytes}/{self.budget.bytes_max} bytes, {self.reads}/{self.budget.reads_max} reads>"
        )

    def admit(self, length: int, rank: Rank, now: float) -> bool:
        """Count an upload of this many bytes in, or say no."""
        percent, wait_s = rank.value
        # An empty node takes any upload that the budget holds, or the lower ranks' largest would never fit.
        fits = self._fits(self.requests + 1, self.bytes + length, percent if self.requests else 100)
        if not fits or self.requests >= self.commits.in_flight_max(wait_s) or self.commits.stalled(now):
            self.commits.refused(by_bound=fits)
            return False
        self.requests += 1
        self.bytes += length
        return True

    def release(self, length: int) -> None:
        """Count an admitted upload out."""
        self.requests -= 1
        self.bytes -= length

    def admit_read(self) -> bool:
        """Count a read in, or say no: too many, or uploads need the node."""
        if self.reads >= self.budget.reads_max or not self._fits(self.requests, self.bytes, READS_PERCENT):
            return False
        self.reads += 1
        return True

    def release_read(self) -> None:
        """Count an admitted read out."""
        self.reads -= 1

    def _fits(self, requests: int, size: int, percent: int) -> bool:
        budget = self.budget
        return requests * 100 <= budget.requests_max * percent and size * 100 <= budget.bytes_max * percent
