"""The rules of a lease: the order in which queues are claimed, how failed runs are counted, and when a job is poison.

Pure. A claim sets a job's score to the end of the lease, so the score is the time from which the job may be claimed
(again). A worker extends the leases of its running jobs; a lease that ends unextended is a *lapse*. Three outcomes are
counted separately: faults (the job failed), outages (store or Redis was unavailable) and lapses (the worker was gone).
A job that a worker hands back counts as none.
"""

from collections.abc import Sequence
from typing import TypeVar

import msgspec

T = TypeVar("T")

POISON_LAPSES = 2
POISON_LAPSES_MAX = 6
POISON_DEATHS_PER_LAPSE = 2
# A lapse follows the one before within seconds, because a lapsed job is the oldest of its queue.
DEATHS_MS = 600_000
# One in this many claims begins with another queue than the most urgent, in turn, so that no queue starves.
FAIR_TURNS = 16
# Expensive ("dear") renders get a quarter of a worker's time, or all of it if no other job came for a second.
DEAR_REST = 3.0
DEAR_LULL_S = 1.0
# Two heartbeats may be lost before a lease ends.
BEATS_PER_LEASE = 3


class Attempts(msgspec.Struct, frozen=True):
    """How earlier runs of a job ended, by outcome; runs that were handed back are not counted.

    `failed_by` is the worker where the last run failed for a reason that may be the worker's; empty if it is not known.
    """

    faults: int = 0
    outages: int = 0
    lapses: int = 0
    failed_by: str = ""

    @property
    def runs(self) -> int:
        """The number of the next run, from 1."""
        return 1 + self.faults + self.outages + self.lapses


class Claimed(msgspec.Struct, frozen=True):
    """A job that this worker holds: body, queue, the token that proves the lease, and earlier attempts.

    `waited_s` is how long the job had been ready, `at_ms` when it was claimed (unix ms). `deaths` is the number of
    workers lost recently, including the one that last ran this job; 0 if the job's last run did not lapse.
    """

    id: str
    body: bytes
    queue: str
    token: str
    attempts: Attempts = Attempts()
    waited_s: float = 0.0
    deaths: int = 0
    at_ms: int = 0


class Done(msgspec.Struct, frozen=True):
    """The job is finished, or given up with `letter` as its dead letter."""

    claimed: Claimed
    letter: bytes = b""


class Again(msgspec.Struct, frozen=True):
    """The job returns to its queue, or to `queue` if named, and is ready after `defer_s`."""

    claimed: Claimed
    attempts: Attempts
    defer_s: float = 0.0
    queue: str = ""


Settlement = Done | Again


def order(queues: Sequence[T], turn: int) -> list[T]:
    """The queues in the order of this claim: most urgent first; one in `FAIR_TURNS` claims begins with another."""
    if turn % FAIR_TURNS != FAIR_TURNS - 1:
        return list(queues)
    leads = turn // FAIR_TURNS % len(queues)
    return [queues[leads], *queues[:leads], *queues[leads + 1 :]]


class Share:
    """When a worker may claim an expensive job: one at a time, then none for a while if other jobs keep coming.

    So expensive photos, however many users send them, delay other jobs only by a fraction of each worker's time, and
    never starve themselves. Times are seconds of a monotonic clock.
    """

    def __init__(self) -> None:
        self._rests_until = 0.0
        self._others_at = float("-inf")

    def others(self, now: float) -> None:
        """Record that jobs of other queues were claimed."""
        self._others_at = now

    def spent(self, seconds: float, now: float) -> None:
        """Record that an expensive job ended, and how long it took."""
        self._rests_until = now + DEAR_REST * seconds

    def allows(self, now: float) -> bool:
        """Whether an expensive job may be claimed now."""
        return self.wait_s(now) <= 0

    def wait_s(self, now: float) -> float:
        """Seconds until an expensive job may be claimed, if no other job is; 0 when it may be now."""
        return max(0.0, min(self._rests_until - now, self._others_at + DEAR_LULL_S - now))


def is_poison(claimed: Claimed) -> bool:
    """Whether to give up this job because its last run lapsed, given its lapses and the recent deaths of workers."""
    lapses = claimed.attempts.lapses
    if not claimed.deaths or lapses < POISON_LAPSES:
        return False
    # The cause of a lapse is unknown: the job may have killed its worker, or something else did. While many workers
    # die, the job must account for half of the deaths, so that mass kills do not quarantine good photos.
    return lapses >= POISON_LAPSES_MAX or POISON_DEATHS_PER_LAPSE * lapses >= claimed.deaths


def beat_s(lease_s: float) -> float:
    """Seconds between two extensions of a worker's leases."""
    return lease_s / BEATS_PER_LEASE
