"""Whether this node admits one more upload, decided before its body is read: by memory, the store's speed and rank.

Pure: the caller reports when uploads begin, progress and end, and sheds the uploads that are returned to it. Two sums
are compared with the same budget: *charged* bytes decide admission (`_make_room`), *held* bytes never exceed it
(`room`).
"""

from enum import Enum
from typing import Final

import msgspec

from .commits import Commits
from .parked import Parked
from .places import Place, Usual, slow_s

READS_PERCENT: Final = 70  # of the budget; when uploads use more, reads are refused
USER_UPLOADS_MAX: Final = 4  # a phone sends one, but connections that broke may not have been noticed yet
USER_PERCENT: Final = 25  # of the budget, for all announced bytes of one user; a single upload may exceed it
REVIEW_S: Final = 0.25  # between two reviews of the pace of all uploads
READ_BYTES_MIN: Final = 64 * 1024  # a smaller read is not worthwhile: then an upload is shed
LAGGARD_S: Final = 600.0  # the lifetime of a ticket
LAGGARDS_MAX: Final = 10_000
# Initial estimates, until uploads have been received: phones on weak networks, photos of usual size.
USUAL_S: Final = 15.0
USUAL_BYTES: Final = 1024 * 1024


# The order when not all fit: retries with a ticket, which this service refused before; then first attempts inside the
# window; then late posts; then *laggards*, whose last upload was shed because it was slow, with or without a ticket.
# Each rank may fill only a part of each limit, so that there is room for better ranks.
class Rank(Enum):
    """An upload's rank: percent of the memory budget that it may fill, and the acceptable wait for a PUT in seconds."""

    HOLDER = (100, 1.5)
    FIRST = (90, 1.0)
    LATE = (80, 0.5)
    LAGGARD = (READS_PERCENT, 0.25)

    @classmethod
    def of(cls, *, retry: bool, late: bool) -> "Rank":
        """The rank by whether the upload has a ticket, and whether it came after the window."""
        return cls.HOLDER if retry else cls.LATE if late else cls.FIRST


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """Limits on the uploads in flight of one node."""

    requests_max: int
    bytes_max: int
    parked_bytes_max: int = 0


class Admission:
    """Counts the uploads in flight, and decides which to admit and which to shed."""

    def __init__(self, budget: Budget, commits: Commits) -> None:
        self.budget = budget
        self.commits = commits
        self.requests = self.bytes = self.held = 0
        self.parked = Parked()  # uploads that wait for clients whose connections broke; they are shed before all others
        self.usual_s, self.usual_bytes = Usual(USUAL_S), Usual(USUAL_BYTES)
        self._slow = self._slow_bytes = 0  # number of slow uploads, and their charged bytes
        self._coming: dict[Place, None] = {}
        self._users: dict[str, list[Place]] = {}
        self._laggards: dict[str, float] = {}  # expiry time by user
        self._queue: list[Place] = []  # of the last review: on pace before slow, then least time left
        self._reviewed_at = float("-inf")

    def __repr__(self) -> str:
        return (
            f"<Admission {self.requests}/{self.budget.requests_max} requests, {self._slow} slow, "
            f"{self.bytes}/{self.budget.bytes_max} bytes, {self.held} held>"
        )

    def admit(
        self, user: str, length: int, rank: Rank, now: float, *, announced: bool = True
    ) -> tuple[Place | None, list[Place]]:
        """A place for an upload of at most `length` bytes, or None; and the places that the caller must shed."""
        if self.commits.stalled(now):
            # The store ends no PUT: a body that is read now could only wait, and fail then.
            self.commits.refused(by_bound=False)
            return None, []
        laggard = self._laggards.get(user, now) > now
        place = Place(user, length, now, announced=announced, slow=laggard)
        percent, wait_s = (Rank.LAGGARD if laggard else rank).value
        victims, shared = self._make_own_room(place)
        bounded = False
        if shared and self._make_room(place, percent, now, victims):
            # Slow uploads do not count here: they will need no PUT soon.
            bounded = self._active >= self.commits.in_flight_max(wait_s)
            if bounded:
                # Some of those that count may be slow by now.
                self._review(now)
                bounded = self._active >= self.commits.in_flight_max(wait_s)
            if not bounded:
                self._enter(place)
                return place, victims
        # 503 at once: an upload refused in a millisecond costs nothing, but a queued one costs memory and then fails
        # anyway.
        self.commits.refused(by_bound=bounded)
        return None, victims

    def hold(self, place: Place, held: int) -> bool:
        """Account for a reused buffer, which has `held` bytes of memory already; False when they do not fit."""
        if place.gone or self.held + held > self.budget.bytes_max:
            return False
        self._account(place, held=max(place.held, held))
        return True

    def room(self, place: Place, wanted: int, now: float) -> tuple[int, list[Place]]:
        """How many bytes may be read for a place now, and the places to shed first, which may include this place."""
        if place.gone:
            return 0, []
        beyond = wanted - (place.held - place.received)  # bytes that need new memory
        if self.budget.bytes_max - self.held >= beyond:
            return wanted, []
        victims: list[Place] = []
        # Slow uploads are shed, then any upload, the longest time left first; never one that was received completely.
        least = min(beyond, READ_BYTES_MIN)
        while self.budget.bytes_max - self.held < least and (victim := self._worst(now)):
            self._shed(victim, victims, now)
            if victim is place:
                return 0, victims
        free = self.budget.bytes_max - self.held
        if free <= 0 and beyond == wanted:  # all other uploads are complete
            self._shed(place, victims, now)
            return 0, victims
        return min(wanted, free + wanted - beyond), victims

    def arrived(self, place: Place, count: int) -> None:
        """Record that `count` more bytes of the upload are in memory."""
        place.received += count
        self._account(place, held=max(place.held, place.received))

    def whole(self, place: Place, now: float) -> None:
        """Record that the upload was received completely."""
        seconds = now - place.since
        slow = seconds > slow_s(self.usual_s.value)
        place.whole = True
        self._coming.pop(place, None)
        self._account(place, slow=False)
        self.usual_s.told(seconds)
        self.usual_bytes.told(place.received)
        if not slow:  # slow uploads would raise the limit on uploads in flight for all others
            self.commits.received(seconds)
            self._laggards.pop(place.user, None)

    def park(self, place: Place, now: float) -> list[Place]:
        """Keep an upload that waits for its client; returns the places to shed, which may include this one."""
        self.resume(place, now)
        place.whole = False  # if it was, its commit has failed
        self._coming.pop(place, None)
        self._account(place, slow=True)
        self.parked.add(place, now)
        victims = list[Place]()
        while self.parked.bytes > self.budget.parked_bytes_max and (oldest := self.parked.oldest):
            self._shed(oldest, victims, now)
        return victims

    def resume(self, place: Place, now: float) -> None:
        """Record that a parked upload moves again; the time that it waited does not count for its pace."""
        if place.parked_at is not None:
            place.since += now - place.parked_at
            self.parked.remove(place)
            self._coming[place] = None
            self._account(place, slow=False)

    def announce(self, place: Place, length: int) -> None:
        """Record the length of an upload that came without one."""
        place.length, place.announced = length, True
        self._account(place)

    def release(self, place: Place) -> None:
        """Record that an admitted upload has ended, for any reason."""
        if place.gone:
            return
        self.parked.remove(place)
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
        """Whether uploads that are not slow need the resources that reads would use."""
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
        """Keep the sums correct while a place changes."""
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
        """Shed uploads above the user's share; returns the shed places, and whether the new upload fits the share."""
        own, victims = self._users.get(place.user, []), list[Place]()
        share = self.budget.bytes_max * USER_PERCENT // 100

        def over() -> bool:
            return bool(own) and (
                len(own) >= USER_UPLOADS_MAX or sum(one.length for one in own) + place.length > max(share, place.length)
            )

        # Above the share a user loses an upload of his own, never another user's: the one furthest from its end.
        while over() and (coming := [one for one in own if not one.whole]):
            self._shed(min(coming, key=Place.use), victims, None)
        return victims, not over()

    def _make_room(self, place: Place, percent: int, now: float, victims: list[Place]) -> bool:
        """Shed slow uploads for a new one, if that is enough; returns whether there is room."""
        # What the upload will soon need, like what uploads hold (`places.py`). Uploads on pace keep their places.
        size = place.charge(self.usual_bytes.value)
        # An empty node admits any upload that fits it, or the largest ones of lower ranks would never be admitted.
        fits, parked = self._fits, self.parked
        percent = percent if self.requests > len(parked) else 100
        if fits(self.requests + 1, self.bytes + size, percent):
            return True
        self._review(now)
        # Shed only if that makes room enough. A slow upload takes the room of parked ones only.
        others, size_of = (len(parked), parked.bytes) if place.slow else (self._slow, self._slow_bytes)
        enough = fits(self.requests - others + 1, self.bytes - size_of + size, percent)
        while enough and not fits(self.requests + 1, self.bytes + size, percent):
            if (victim := self._worst(now, slow_only=True)) is None:
                break
            self._shed(victim, victims, now)
        return fits(self.requests + 1, self.bytes + size, percent)

    def _shed(self, place: Place, victims: list[Place], now: float | None) -> None:
        """Release the place and add it to the victims; remembers the user of a slow upload as a laggard."""
        if place.slow and place.parked_at is None and now is not None:
            self._laggards.pop(place.user, None)
            self._laggards[place.user] = now + LAGGARD_S
            if len(self._laggards) > LAGGARDS_MAX:
                del self._laggards[next(iter(self._laggards))]
        self.release(place)
        victims.append(place)

    def _worst(self, now: float, *, slow_only: bool = False) -> Place | None:
        """The unfinished upload to shed first: parked, then slow ones, then the longest time left."""
        if oldest := self.parked.oldest:
            return oldest
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
            self._reviewed_at = float("-inf")  # to include uploads that began since the last review
            self._review(now)
        return None

    def _review(self, now: float) -> None:
        """Find out which uploads are slow and sort them; rate-limited, because it visits every upload."""
        if now - self._reviewed_at < REVIEW_S:
            return
        self._reviewed_at = now
        left = {place: place.left_s(now, self.usual_bytes.value) for place in self._coming}
        for place, left_s in left.items():
            self._account(place, slow=place.is_slow(now, left_s, self.usual_s.value))
        self._queue = sorted(left, key=lambda place: (place.slow, left[place]))
