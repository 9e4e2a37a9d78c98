"""The jobs that a worker has claimed ahead of its free slots, so that under a backlog one claim is for several jobs.

Pure. Jobs that wait here are leased, and no other worker can run them: so a worker claims only as many ahead as it
finishes in about `AHEAD_S`, and none while its claims leave room, because then there is no backlog.
"""

from collections import deque
from collections.abc import Sequence

from storage.queue.claims import Room
from storage.queue.jobs import FLAGS
from storage.queue.lease import Claimed

# The last jobs of a backlog, which other workers could run, wait this long at most.
AHEAD_S = 1.0
AHEAD_MAX = 16
# Weight of the last job in the mean duration.
_WEIGHT = 0.2
_LEAST_S = 1e-3


class Ahead:
    """Claimed jobs that wait for one of `slots` slots."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._waiting: deque[Claimed] = deque()
        self._mean_s = 0.0
        self._backlog = False

    def __len__(self) -> int:
        return len(self._waiting)

    def took(self, seconds: float) -> None:
        """Record how long a job took, from its start to its end."""
        # The first job decides: with a guess instead, a worker makes six small claims before its first large one.
        self._mean_s += (_WEIGHT if self._mean_s else 1.0) * (max(seconds, _LEAST_S) - self._mean_s)

    def room(self) -> int:
        """How many jobs to claim ahead now."""
        if not self._backlog:
            return 0
        return min(int(AHEAD_S * self._slots / self._mean_s) if self._mean_s else 1, AHEAD_MAX)

    def claimed(self, claimed: Sequence[Claimed], room: Room) -> None:
        """Keep the jobs of a claim that need a slot; a claim that took all that it could means a backlog."""
        found = [one for one in claimed if one.queue != FLAGS]
        self._backlog = len(found) >= room.free + room.ahead
        self._waiting.extend(found)

    def taken(self, most: int | None = None) -> list[Claimed]:
        """Take up to `most` jobs, or all, the first claimed first."""
        return [self._waiting.popleft() for _ in range(len(self) if most is None else min(most, len(self)))]

    def dropped(self, job_id: str) -> Claimed | None:
        """Remove this job, whose lease was lost, and return it; None if it does not wait here."""
        found = next((one for one in self._waiting if one.id == job_id), None)
        if found is not None:
            self._waiting.remove(found)
        return found
