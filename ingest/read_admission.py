"""Limits reads on this node: concurrent answers and their bytes, in total and for each user or address.

Pure: time comes in; the caller ends the answers that are returned to it. An answer holds its place and its bytes until
its last byte is written. If there is no room for a new read, the answer that has been stalled longest is ended, and its
user is a *laggard* for a while: a laggard takes no place from others and must leave some places free.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Final

import msgspec

STALLED_S: Final = 2.0  # 64 KiB, the piece that is written at once, at 32 KB/s
SHARE: Final = 8  # one user or one address may have 1/SHARE of all places and of all bytes
LAGGARD_S: Final = 60.0
LAGGARDS_MAX: Final = 10_000
LAGGARD_PERCENT: Final = 70  # of the places and the bytes; above it laggards get none
PAGES_MAX: Final = 16
SCRAPES_MAX: Final = 4
# A waiter takes about 20 KiB: 40 MiB in all. A user waits for one post at a time, on a few devices.
WAITERS_MAX: Final = 2048
USER_WAITERS_MAX: Final = 8


class Kind(Enum):
    """What is read: posts and photos; the API document and its page; metrics. Each kind has its own places.

    A request that waits for a post (`waiting.py`) has a place of its own kind, from the wait to the end of its answer.
    """

    POST = "post"
    WAIT = "wait"
    PAGE = "page"
    SCRAPE = "scrape"


class Reader:
    """One answer in progress; `who` is a user id, or an address for calls without a token."""

    __slots__ = ("gone", "held", "kind", "moved_at", "on_shed", "who")

    def __init__(self, who: str, kind: Kind) -> None:
        self.who = who
        self.kind = kind
        self.held = 0
        self.moved_at: float | None = None  # when the client last read something; None until sending begins
        self.gone = False
        self.on_shed: Callable[[], None] | None = None

    def shed(self) -> None:
        """End the answer; its place has already been released."""
        if self.on_shed:
            self.on_shed()


class ReadLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits on the answers in progress of each kind, and on their bytes in total."""

    reads_max: int
    bytes_max: int

    def most(self, kind: Kind) -> int:
        """The limit for this kind."""
        limits = {Kind.POST: self.reads_max, Kind.WAIT: WAITERS_MAX, Kind.PAGE: PAGES_MAX, Kind.SCRAPE: SCRAPES_MAX}
        return limits[kind]

    def share(self, kind: Kind) -> int:
        """The limit for this kind and one user or address."""
        return USER_WAITERS_MAX if kind is Kind.WAIT else max(1, self.most(kind) // SHARE)


class Reading:
    """Counts the answers in progress, and decides which to admit and which to end."""

    def __init__(self, limits: ReadLimits) -> None:
        self.limits = limits
        self.bytes = 0
        self._readers: dict[Kind, dict[Reader, None]] = {kind: {} for kind in Kind}
        self._users: Counter[tuple[Kind, str]] = Counter()
        self._laggards: dict[str, float] = {}  # expiry time by user

    def __repr__(self) -> str:
        counts = ", ".join(f"{self.count(kind)}/{self.limits.most(kind)} {kind.value}s" for kind in Kind)
        return f"<Reading {counts}, {self.bytes}/{self.limits.bytes_max} bytes>"

    def count(self, kind: Kind) -> int:
        """The number of answers of this kind in progress."""
        return len(self._readers[kind])

    def has_share(self, who: str, kind: Kind) -> bool:
        """Whether this user or address has all places of this kind that one may have."""
        return self._users[kind, who] >= self.limits.share(kind)

    def admit(self, who: str, kind: Kind, now: float) -> tuple[Reader | None, list[Reader]]:
        """A place, or None; and the readers that the caller must end."""
        victims: list[Reader] = []
        own = self.limits.share(kind)
        while self._users[kind, who] >= own and self._make_room(kind, now, victims, who):
            pass
        if self._users[kind, who] >= own:
            return None, victims
        while not self._fits(who, now, self.count(kind) + 1, self.limits.most(kind)):
            if self._is_laggard(who, now) or not self._make_room(kind, now, victims):
                return None, victims
        reader = Reader(who, kind)
        self._readers[kind][reader] = None
        self._users[kind, who] += 1
        return reader, victims

    def hold(self, reader: Reader, size: int, now: float) -> tuple[bool, list[Reader]]:
        """Whether an answer of `size` bytes may be built for the reader; and the readers that the caller must end."""
        victims: list[Reader] = []
        share = max(size, self.limits.bytes_max // SHARE)
        more = size - reader.held
        while self._held_by(reader) + more > share and self._make_room(reader.kind, now, victims, reader.who):
            pass
        if reader.gone or self._held_by(reader) + more > share:
            return False, victims
        while not self._fits(reader.who, now, self.bytes + more, self.limits.bytes_max):
            if self._is_laggard(reader.who, now) or not self._make_room(reader.kind, now, victims):
                return False, victims
        self.bytes += more
        reader.held = size
        return True, victims

    def release(self, reader: Reader) -> None:
        """Release the place: the last byte was written, or the client has gone."""
        if reader.gone:
            return
        reader.gone = True
        del self._readers[reader.kind][reader]
        self._users[reader.kind, reader.who] -= 1
        if not self._users[reader.kind, reader.who]:
            del self._users[reader.kind, reader.who]
        self.bytes -= reader.held

    def stood_still(self, reader: Reader, now: float) -> None:
        """Mark the reader's user as a laggard from now on."""
        self._laggards.pop(reader.who, None)
        self._laggards[reader.who] = now + LAGGARD_S
        if len(self._laggards) > LAGGARDS_MAX:
            del self._laggards[next(iter(self._laggards))]

    def _is_laggard(self, who: str, now: float) -> bool:
        return self._laggards.get(who, now) > now

    def _fits(self, who: str, now: float, count: int, most: int) -> bool:
        return count * 100 <= most * (LAGGARD_PERCENT if self._is_laggard(who, now) else 100)

    def _held_by(self, reader: Reader) -> int:
        return sum(one.held for one in self._of(reader.kind, reader.who))

    def _of(self, kind: Kind, who: str | None) -> Iterator[Reader]:
        return (one for one in self._readers[kind] if who is None or one.who == who)

    def _make_room(self, kind: Kind, now: float, victims: list[Reader], who: str | None = None) -> bool:
        """Release the reader that has been stalled longest, if that is long enough; returns whether there was one."""

        def standstill(reader: Reader) -> float:
            # A user with thirty places loses one to another user after a fifteenth of a second, one with a single place
            # after two seconds. Among a user's own readers the number of places is no reason to end one sooner.
            weight = self._users[kind, reader.who] if who is None else 1
            return 0.0 if reader.moved_at is None else (now - reader.moved_at) * weight

        # A client that does not read would hold its place for ever; one that reads as fast as a phone keeps it.
        worst = max(self._of(kind, who), key=standstill, default=None)
        if worst is None or standstill(worst) < STALLED_S:
            return False
        self.stood_still(worst, now)
        self.release(worst)
        victims.append(worst)
        return True
