"""The rules of a lease: in which order queues are claimed, what a run that ended badly counts as, what is poison.

Pure. A claim moves a job's score to the lease's end, so that the score is when the job may be claimed (again); a worker
extends the leases of what it runs, and a lease that ends unextended is a *lapse*. Three things are counted apart:
faults (the job failed), outages (store or Redis was away) and lapses (its worker was gone). A hand-back counts nowhere.

Who is guilty of a lapse cannot be seen: the job may have killed its worker, or somebody killed the worker for other
reasons. Two lapses make poison, unless many workers died lately: then the job must account for half of the deaths, so
that a storm of kills quarantines nobody's photos; six lapses are enough whatever else dies.
"""

from collections.abc import Sequence
from typing import TypeVar

import msgspec

T = TypeVar("T")

POISON_LAPSES = 2
POISON_LAPSES_MAX = 6
POISON_DEATHS_PER_LAPSE = 2
# A lapse comes at most seconds after the one before, since a lapsed job is the oldest of its queue.
DEATHS_MS = 600_000
# Of so many claims, one begins with another queue than the most urgent: each queue gets its turn, nobody starves.
FAIR_TURNS = 16
# Dear renders get a quarter of a worker's time, and all of it where there has been nothing else for a second.
DEAR_REST = 3.0
DEAR_LULL_S = 1.0
# Two beats may be lost before a lease ends.
BEATS_PER_LEASE = 3


class Attempts(msgspec.Struct, frozen=True):
    """How earlier runs of a job ended, as far as they count."""

    faults: int = 0
    outages: int = 0
    lapses: int = 0

    @property
    def runs(self) -> int:
        """Which run the next one is, from 1."""
        return 1 + self.faults + self.outages + self.lapses


class Claimed(msgspec.Struct, frozen=True):
    """A job that this worker holds: its body, its queue, the token that proves the hold, and what happened before.

    `waited_s` is how long it had been ready. `deaths` counts the workers that were lost lately, this job's last one
    included; 0 when this job's last run did not lapse.
    """

    id: str
    body: bytes
    queue: str
    token: str
    attempts: Attempts = Attempts()
    waited_s: float = 0.0
    deaths: int = 0


class Done(msgspec.Struct, frozen=True):
    """The job is over; `letter` is what is kept of one that is given up."""

    claimed: Claimed
    letter: bytes = b""


class Again(msgspec.Struct, frozen=True):
    """The job goes back into its queue, or into another one that is named, ready after `defer_s`."""

    claimed: Claimed
    attempts: Attempts
    defer_s: float = 0.0
    queue: str = ""


Settlement = Done | Again


def order(queues: Sequence[T], turn: int) -> list[T]:
    """The queues as this claim asks them, the most urgent first; each so manieth turn another one leads."""
    if turn % FAIR_TURNS != FAIR_TURNS - 1:
        return list(queues)
    leads = turn // FAIR_TURNS % len(queues)
    return [queues[leads], *queues[:leads], *queues[leads + 1 :]]


class Share:
    """When a worker may claim a dear job: one at a time, and after it for a while no other, so long as others come.

    So whoever sends dear photos, however many users they are, delays the others by a part of each worker's time only,
    and the dear ones never starve. Times are seconds of any clock that does not go back.
    """

    def __init__(self) -> None:
        self._rests_until = 0.0
        self._others_at = float("-inf")

    def others(self, now: float) -> None:
        """Jobs of other queues were claimed."""
        self._others_at = now

    def spent(self, seconds: float, now: float) -> None:
        """A dear job ended after so long."""
        self._rests_until = now + DEAR_REST * seconds

    def allows(self, now: float) -> bool:
        """Whether a dear job may be claimed."""
        return now >= self._rests_until or now - self._others_at >= DEAR_LULL_S


def is_poison(claimed: Claimed) -> bool:
    """Whether this job is to be given up because of how its last run ended: its worker was gone, and not for once."""
    lapses = claimed.attempts.lapses
    if not claimed.deaths or lapses < POISON_LAPSES:
        return False
    return lapses >= POISON_LAPSES_MAX or POISON_DEATHS_PER_LAPSE * lapses >= claimed.deaths


def beat_s(lease_s: float) -> float:
    """How long apart a worker extends its leases."""
    return lease_s / BEATS_PER_LEASE
