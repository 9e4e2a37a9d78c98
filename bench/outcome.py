"""One upload as values: what a phone has to send, each of its tries, and the outcome as the phone saw it."""

import datetime as dt
from typing import Final

import msgspec

ACKNOWLEDGED: Final = frozenset({200, 201})
REFUSED_BY_PLAN: Final = frozenset({503, 507})  # too much at once, or the store is full: the service says so on purpose
# Of the offered: one phone in a hundred may be unlucky six times, as when the program behind it is killed. More is no
# luck: the service did not serve.
UNSERVED_MAX: Final = 0.01


class Break(msgspec.Struct, frozen=True):
    """A connection ends after so many bytes of the body, and the phone has no network for so many seconds."""

    offset: int
    pause_s: float


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """What one phone has to send: the whole body, its user's token, Unix seconds, `pace` in bytes/s or None.

    `breaks`: the n-th connection that gets so far ends there.
    """

    moment_id: str
    user: str
    bearer: str
    body: bytes
    intended: float
    pace: int | None = None
    first_target: int = 0
    breaks: tuple[Break, ...] = ()


class Attempt(msgspec.Struct, frozen=True):
    """One try: Unix seconds of its start and end, the status (0: no answer), and whether the server gave a ticket.

    `resumed`: it went on where the try before had ended; `sent`: bytes of the body.
    """

    started: float
    finished: float
    status: int
    ticket: bool = False
    resumed: bool = False
    sent: int = 0


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How an upload of so many bytes ended, as its phone saw it. `status` 0: no answer to the last try."""

    user: str
    intended: float
    attempts: tuple[Attempt, ...]
    post_id: str | None = None
    replayed: bool = False
    ticket: str | None = None
    received_at: dt.datetime | None = None
    length: int = 0

    @property
    def timely(self) -> tuple[Attempt, ...]:
        """The tries that may have set `received_at`: whole ones, up to the first that got a ticket; later ones send it.

        A try that was resumed belongs to the one that had begun the upload.
        """
        whole = tuple(attempt for attempt in self.attempts if not attempt.resumed)
        first = next((at for at, attempt in enumerate(whole) if attempt.ticket), len(whole))
        return whole[: first + 1]

    @property
    def status(self) -> int:
        """The status of the last try."""
        return self.attempts[-1].status

    @property
    def acknowledged(self) -> bool:
        """Whether the server answered that it has stored both photos."""
        return self.status in ACKNOWLEDGED

    @property
    def answered(self) -> bool:
        """Whether any try got an answer."""
        return any(attempt.status for attempt in self.attempts)

    @property
    def finished(self) -> float:
        """Unix seconds of the end of the last try."""
        return self.attempts[-1].finished
