"""A node under a crowd, in small steps of a virtual clock: the real admission around a simulated store.

The store gives each PUT under way the same part of its speed, but none less than its latency. A phone takes its time to
send; one that is shed comes back when it was told to, with a ticket. No time passes but by steps, so a minute takes a
second or two and a seed gives one history.
"""

import random
from collections import Counter, deque
from dataclasses import dataclass, field

from ingest.admission import Admission, Budget, Rank
from ingest.commits import Commits
from ingest.returns import Returns

STEP_S = 0.01
BYTES = 700_000


@dataclass(eq=False)
class Upload:
    """One pair under way; `left` is the part of its PUT still to do."""

    admitted: float
    send_s: float
    arrived: float = 0.0
    begun: float = 0.0
    left: float = 1.0


@dataclass
class Crowd:
    """`rate`: what the store commits a second, `latency_s`: the least that one PUT takes."""

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
    returned: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.commits, self.returns = Commits(), Returns()
        self.admission = Admission(Budget(requests_max=100_000, bytes_max=self.bytes_max, reads_max=1), self.commits)
        self.sending: list[Upload] = []
        self.waiting: deque[Upload] = deque()
        self.putting: list[Upload] = []
        self.coming: dict[int, int] = {}
        self._due = 0.0
        self.start = self.now

    def run(self, seconds: float) -> None:
        """Let so much time pass."""
        for _ in range(round(seconds / STEP_S)):
            self.now += STEP_S
            self._due += self.offered * STEP_S
            while self._due >= 1:
                self._due -= 1
                self.come(Rank.FIRST)
            for _ in range(self.coming.pop(int(self.now / STEP_S), 0)):
                self.come(Rank.HOLDER)
            self._step()

    def come(self, rank: Rank) -> None:
        """A phone asks."""
        admitted = self.admission.admit(BYTES, rank, self.now)
        self.returned["taken" if admitted else "shed"] += rank is Rank.HOLDER
        if admitted:
            self.sending.append(Upload(self.now, self.rng.uniform(*self.send_s)))
            return
        self.shed[self.second] += 1
        wait = self.returns.retry_after_s(self.now, self.commits.rate, self.rng.random())
        at = int((self.now + wait * self.rng.uniform(1.0, 1.1)) / STEP_S)
        self.coming[at] = self.coming.get(at, 0) + 1

    @property
    def second(self) -> int:
        """Whole seconds since the start."""
        return int(self.now - self.start)

    def goodput(self, first: int, last: int) -> float:
        """Commits a second, from one second to before another."""
        return sum(self.committed[second] for second in range(first, last)) / (last - first)

    def _step(self) -> None:
        arrived = [upload for upload in self.sending if self.now - upload.admitted >= upload.send_s]
        self.sending = [upload for upload in self.sending if self.now - upload.admitted < upload.send_s]
        for upload in arrived:
            upload.arrived = self.now
            self.commits.received(upload.send_s)
        self.waiting.extend(arrived)
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
        self.admission.release(BYTES)
        self.waits.append(self.now - upload.arrived)
        self.committed[self.second] += 1
        self._let_in()
