"""Whether this node takes one more upload, decided before a body is read: by memory, by the store's speed, by rank.

Pure: the caller says when an upload comes, what has come of it and when it ends, and sheds those that it is given back.
Over a bound the answer is 503 at once: an upload refused in a millisecond costs nothing, one that is queued costs
memory and then fails anyway. Two accounts are kept of the same budget:

- *Charged* bytes decide who comes in: held memory and what will soon come (`places.py`). A newcomer without room takes
  the place of slow uploads, those first that would take longest; uploads on pace keep theirs.
- *Held* bytes never pass the budget. Before each read the reader asks for room; if there is none, slow uploads go, then
  whichever would take longest. One that has come whole is never shed.

Who comes first when not all can: holders of a ticket, whom we have turned away before; then first tries inside the
window; then late posts; then laggards, whose last upload had to go because it was slow, ticket or not. Each rank has
its part of every bound, so that there is room for the next better. A user who has more in flight than one phone needs
loses the upload of his own that is furthest from its end, never another's.
"""

from enum import Enum
from typing import Final

import msgspec

from .commits import Commits
from .places import Place, Usual, slow_s

READS_PERCENT: Final = 70  # of the budget used by uploads, from which reads are shed
USER_UPLOADS_MAX: Final = 4  # a phone sends one; its broken connections may not have been noticed yet
USER_PERCENT: Final = 25  # of the budget, that all uploads of one user may announce; one upload may in any case
REVIEW_S: Final = 0.25  # between two looks at everybody's pace
READ_BYTES_MIN: Final = 64 * 1024  # less than this is not worth a read: then somebody has to go
LAGGARD_S: Final = 600.0  # as long as a ticket lives
LAGGARDS_MAX: Final = 10_000
# Until uploads have come whole: phones on weak networks, photos of usual size.
USUAL_S: Final = 15.0
USUAL_BYTES: Final = 1024 * 1024


class Rank(Enum):
    """An upload's rank: percent of the memory budget it may fill, and the wait for a PUT it is worth, in seconds."""

    HOLDER = (100, 1.5)
    FIRST = (90, 1.0)
    LATE = (80, 0.5)
    LAGGARD = (READS_PERCENT, 0.25)

    @classmethod
    def of(cls, *, retry: bool, late: bool) -> "Rank":
        """By whether it brought a ticket, and whether it came after the window."""
        return cls.HOLDER if retry else cls.LATE if late else cls.FIRST


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """What uploads may take of one node."""

    requests_max: int
    bytes_max: int


class Admission:
    """Counts what is in flight."""

    def __init__(self, budget: Budget, commits: Commits) -> None:
        self.budget = budget
        self.commits = commits
        self.requests = self.bytes = self.held = 0
        self.usual_s, self.usual_bytes = Usual(USUAL_S), Usual(USUAL_BYTES)
        self._slow = self._slow_bytes = 0  # how many are slow, and what they are charged
        self._coming: dict[Place, None] = {}
        self._users: dict[str, list[Place]] = {}
        self._laggards: dict[str, float] = {}  # until when
        self._queue: list[Place] = []  # of the last look, those on pace first, of both those soon at their end first
        self._reviewed_at = float("-inf")

    def __repr__(self) -> str:
        return (
            f"<Admission {self.requests}/{self.budget.requests_max} requests, {self._slow} slow, "
            f"{self.bytes}/{self.budget.bytes_max} bytes, {self.held} held>"
        )

    def admit(
        self, user: str, length: int, rank: Rank, now: float, *, announced: bool = True
    ) -> tuple[Place | None, list[Place]]:
        """A place, or None, for an upload of at most this many bytes; and whom the caller has to shed."""
        if self.commits.stalled(now):
            self.commits.refused(by_bound=False)
            return None, []
        laggard = self._laggards.get(user, now) > now
        place = Place(user, length, now, announced=announced, slow=laggard)
        percent, wait_s = (Rank.LAGGARD if laggard else rank).value
        victims, shared = self._make_own_room(place)
        bounded = False
        if shared and self._make_room(place, percent, now, victims):
            bounded = self._active >= self.commits.in_flight_max(wait_s)
            if bounded:
                self._review(now)
                bounded = self._active >= self.commits.in_flight_max(wait_s)
            if not bounded:
                self._enter(place)
                return place, victims
        self.commits.refused(by_bound=bounded)
        return None, victims

    def hold(self, place: Place, held: int) -> bool:
        """Its buffer was used before and has so many bytes of memory already; False when there is no room for them."""
        if self.held + held > self.budget.bytes_max:
            return False
        self._account(place, held=max(place.held, held))
        return True

    def room(self, place: Place, wanted: int, now: float) -> tuple[int, list[Place]]:
        """How many bytes may be read for a place now, and whom the caller has to shed first: perhaps that very one."""
        if place.gone:
            return 0, []
        beyond = wanted - (place.held - place.received)  # what is not in memory yet
        if self.budget.bytes_max - self.held >= beyond:
            return wanted, []
        victims: list[Place] = []
        least = min(beyond, READ_BYTES_MIN)
        while self.budget.bytes_max - self.held < least and (victim := self._worst(now)):
            self._shed(victim, victims, now)
            if victim is place:
                return 0, victims
        free = self.budget.bytes_max - self.held
        if free <= 0 and beyond == wanted:  # all the others have come whole
            self._shed(place, victims, now)
            return 0, victims
        return min(wanted, free + wanted - beyond), victims

    def arrived(self, place: Place, count: int) -> None:
        """So many more bytes of it are in memory."""
        place.received += count
        self._account(place, held=max(place.held, place.received))

    def whole(self, place: Place, now: float) -> None:
        """All of it has come."""
        seconds = now - place.since
        slow = seconds > slow_s(self.usual_s.value)
        place.whole = True
        self._coming.pop(place, None)
        self._account(place, slow=False)
        self.usual_s.told(seconds)
        self.usual_bytes.told(place.received)
        if not slow:  # else they would stretch the bound on uploads in flight for those who are not
            self.commits.received(seconds)
            self._laggards.pop(place.user, None)

    def release(self, place: Place) -> None:
        """An admitted upload has ended, however it did."""
        if place.gone:
            return
        place.gone = True
        self._account(place, held=0, slow=False)
        self.requests -= 1
        self._coming.pop(place, None)
        own = self._users[place.user]
        own.remove(place)
        if not own:
            del self._users[place.user]

    @property
    def reads_give_way(self) -> bool:
        """Whether uploads that are not slow need the node."""
        return not self._fits(self._active, self.bytes - self._slow_bytes, READS_PERCENT)

    @property
    def _active(self) -> int:
        return self.requests - self._slow

    def _fits(self, requests: int, size: int, percent: int) -> bool:
        budget = self.budget
        return requests * 100 <= budget.requests_max * percent and size * 100 <= budget.bytes_max * percent

    def _enter(self, place: Place) -> None:
        self.requests += 1
        self._coming[place] = None
        self._users.setdefault(place.user, []).append(place)
        slow, place.slow = place.slow, False
        self._account(place, slow=slow)

    def _account(self, place: Place, *, held: int | None = None, slow: bool | None = None) -> None:
        """Keep the sums right while a place changes."""
        self._slow -= place.slow
        self._slow_bytes -= place.charged * place.slow
        if held is not None:
            self.held += held - place.held
            place.held = held
        place.slow = place.slow if slow is None else slow
        charged = 0 if place.gone else place.charge(self.usual_bytes.value)
        self.bytes += charged - place.charged
        place.charged = charged
        self._slow += place.slow
        self._slow_bytes += charged * place.slow

    def _make_own_room(self, place: Place) -> tuple[list[Place], bool]:
        """Shed what is over the user's share; whether the newcomer is within it then."""
        own, victims = self._users.get(place.user, []), list[Place]()
        share = self.budget.bytes_max * USER_PERCENT // 100

        def over() -> bool:
            return bool(own) and (
                len(own) >= USER_UPLOADS_MAX or sum(one.length for one in own) + place.length > max(share, place.length)
            )

        while over() and (coming := [one for one in own if not one.whole]):
            self._shed(min(coming, key=lambda one: one.received / one.length), victims, None)
        return victims, not over()

    def _make_room(self, place: Place, percent: int, now: float, victims: list[Place]) -> bool:
        """Shed slow uploads for a newcomer, if that is enough; whether there is room."""
        size = place.charge(self.usual_bytes.value)
        # An empty node takes any upload that the budget holds, or the lower ranks' largest would never fit.
        percent = percent if self.requests else 100
        if self._fits(self.requests + 1, self.bytes + size, percent):
            return True
        self._review(now)
        if not place.slow and self._fits(self._active + 1, self.bytes - self._slow_bytes + size, percent):
            while not self._fits(self.requests + 1, self.bytes + size, percent) and (
                victim := self._worst(now, slow_only=True)
            ):
                self._shed(victim, victims, now)
        return self._fits(self.requests + 1, self.bytes + size, percent)

    def _shed(self, place: Place, victims: list[Place], now: float | None) -> None:
        """Count it out; one that goes because it was slow is remembered."""
        if place.slow and now is not None:
            self._laggards.pop(place.user, None)
            self._laggards[place.user] = now + LAGGARD_S
            if len(self._laggards) > LAGGARDS_MAX:
                del self._laggards[next(iter(self._laggards))]
        self.release(place)
        victims.append(place)

    def _worst(self, now: float, *, slow_only: bool = False) -> Place | None:
        """The upload that has to go first, of those that are still coming."""
        for _ in range(2):
            while self._queue:
                place = self._queue[-1]
                if slow_only and not place.slow and not place.gone and not place.whole:
                    return None
                self._queue.pop()
                if not place.gone and not place.whole:
                    return place
            if slow_only:
                return None
            self._reviewed_at = float("-inf")  # those who came since the last look
            self._review(now)
        return None

    def _review(self, now: float) -> None:
        """See who is slow and who would take longest; now and then, because it looks at everybody."""
        if now - self._reviewed_at < REVIEW_S:
            return
        self._reviewed_at = now
        left = {place: place.left_s(now, self.usual_bytes.value) for place in self._coming}
        for place, left_s in left.items():
            self._account(place, slow=place.is_slow(now, left_s, self.usual_s.value))
        self._queue = sorted(left, key=lambda place: (place.slow, left[place]))
