"""A node under load from many phones, in small steps of a virtual clock: real admission code and a simulated store.

The store divides its rate equally among all PUTs in progress; each PUT takes at least the latency. A phone sends over
some time, and its bytes arrive in pieces, as a balancer and the kernel forward them. A phone that is shed, before or
while it sends, returns after its `Retry-After` with a ticket. Attackers do the same for ever. Time advances only by
steps, so a simulated minute takes a second or two, and a seed determines the whole run.
"""

import random
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from ingest.admission import Admission, Budget, Rank
from ingest.commits import Commits
from ingest.places import Place
from ingest.returns import Returns

STEP_S = 0.01
BYTES = 700_000
PIECE_BYTES = 32 * 1024


@dataclass(eq=False)
class Upload:
    """One upload in progress: `left` is the open part of its PUT, `aim` the bytes sent, `length` those announced.

    Only `honest` uploads count; others are never committed.
    """

    user: str
    length: int
    rate: float
    honest: bool = True
    place: Place | None = None
    arrived: float = 0.0
    begun: float = 0.0
    left: float = 1.0


@dataclass
class Crowd:
    """The simulation; `rate`: pairs that the store commits a second, `latency_s`: the shortest time of a PUT."""

    rate: float = 100.0
    latency_s: float = 0.02
    send_s: tuple[float, float] = (0.5, 3.0)
    bytes_max: int = 10**10
    seed: int = 1
    now: float = 1000.0
    offered: float = 0.0
    waits: list[float] = field(default_factory=list)
    committed: Counter[int] = field(default_factory=Counter)
    shed: Counter[int] = field(default_factory=Counter)
    displaced: Counter[bool] = field(default_factory=Counter)
    returned: Counter[str] = field(default_factory=Counter)
    held_most: int = 0

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.commits, self.returns = Commits(), Returns()
        self.admission = Admission(Budget(requests_max=4096, bytes_max=self.bytes_max), self.commits)
        self.uploads: dict[Place, Upload] = {}
        self.waiting: deque[Upload] = deque()
        self.putting: list[Upload] = []
        self._events: dict[int, list[Callable[[], None]]] = {}
        self._due = 0.0
        self._users = 0
        self.start = self.now

    def run(self, seconds: float) -> None:
        """Advance the clock by `seconds`."""
        for _ in range(round(seconds / STEP_S)):
            self.now += STEP_S
            self._due += self.offered * STEP_S
            while self._due >= 1:
                self._due -= 1
                self.come(Rank.FIRST)
            for act in self._events.pop(int(self.now / STEP_S), ()):
                act()
            self._put()

    def come(self, rank: Rank) -> None:
        """A new phone asks for admission."""
        self._users += 1
        self._ask(Upload(f"phone{self._users}", BYTES, BYTES / self.rng.uniform(*self.send_s)), rank)

    def attack(self, accounts: int, uploads: int, *, length: int, rate: float) -> None:
        """Add attackers: each account sends `uploads` uploads at `rate` bytes a second, for ever."""
        for number in range(accounts * uploads):
            self._ask(Upload(f"attacker{number % accounts}", length, rate, honest=False), Rank.FIRST)

    @property
    def second(self) -> int:
        """Whole seconds since the start."""
        return int(self.now - self.start)

    def goodput(self, first: int, last: int) -> float:
        """Commits a second between `first` (inclusive) and `last` (exclusive), in seconds since the start."""
        return sum(self.committed[second] for second in range(first, last)) / (last - first)

    def _at(self, seconds: float, act: Callable[[], None]) -> None:
        self._events.setdefault(max(int((self.now + seconds) / STEP_S), int(self.now / STEP_S) + 1), []).append(act)

    def _ask(self, upload: Upload, rank: Rank) -> None:
        place, victims = self.admission.admit(upload.user, upload.length, rank, self.now)
        self._displace(victims)
        if upload.honest:
            self.returned["taken" if place else "shed"] += rank is Rank.HOLDER
        if place is None:
            self.shed[self.second] += upload.honest
            self._later(upload)
            return
        upload.place = place
        self.uploads[place] = upload
        self._next_piece(upload)

    def _later(self, upload: Upload) -> None:
        wait = self.returns.retry_after_s(self.now, self.commits.rate, self.rng.random())
        self._at(wait * self.rng.uniform(1.0, 1.1), lambda: self._ask(upload, Rank.HOLDER))

    def _displace(self, victims: list[Place]) -> None:
        for place in victims:
            upload = self.uploads.pop(place)
            self.displaced[upload.honest] += 1
            self._later(upload)

    def _next_piece(self, upload: Upload) -> None:
        place = upload.place
        assert place is not None
        size = min(PIECE_BYTES, upload.length - place.received)

        def came() -> None:
            if place.gone:
                return
            granted, victims = self.admission.room(place, size, self.now)
            self._displace(victims)
            if place.gone:
                return
            self.admission.arrived(place, granted)
            self.held_most = max(self.held_most, self.admission.held)
            if place.received < upload.length:
                self._next_piece(upload)
            else:
                self.admission.whole(place, self.now)
                upload.arrived, upload.left = self.now, 1.0
                self.waiting.append(upload)

        self._at(size / upload.rate, came)

    def _put(self) -> None:
        self._let_in()
        part = STEP_S * min(self.rate / max(len(self.putting), 1), 1 / self.latency_s)
        for upload in list(self.putting):
            upload.left -= part
            if upload.left <= 0:
                self._end(upload)

    def _let_in(self) -> None:
        while self.waiting and self.commits.free:
            upload = self.waiting.popleft()
            upload.begun = self.now
            self.commits.began(self.now)
            self.putting.append(upload)

    def _end(self, upload: Upload) -> None:
        self.putting.remove(upload)
        self.commits.ended(self.now, self.now - upload.begun, waiting=len(self.waiting))
        assert upload.place is not None
        self.admission.release(upload.place)
        del self.uploads[upload.place]
        if upload.honest:
            self.waits.append(self.now - upload.arrived)
            self.committed[self.second] += 1
        else:
            self._at(1.0, lambda: self._ask(upload, Rank.FIRST))
        self._let_in()
