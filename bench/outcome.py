"""One upload as values: what a phone has to send, each of its tries, and the outcome as the phone saw it."""

import datetime as dt
from typing import Final

import msgspec

ACKNOWLEDGED: Final = frozenset({200, 201})


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """What one phone has to send: the whole body, its user's token, Unix seconds, `pace` in bytes/s or None."""

    moment_id: str
    user: str
    bearer: str
    body: bytes
    intended: float
    pace: int | None = None
    first_target: int = 0


class Attempt(msgspec.Struct, frozen=True):
    """One try: Unix seconds of its start and end, the status (0: no answer), and whether the answer gave a ticket."""

    started: float
    finished: float
    status: int
    ticket: bool = False


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How an upload ended, as its phone saw it. `status` 0: no answer to the last try."""

    user: str
    intended: float
    attempts: tuple[Attempt, ...]
    post_id: str | None = None
    replayed: bool = False
    ticket: str | None = None
    received_at: dt.datetime | None = None

    @property
    def timely(self) -> tuple[Attempt, ...]:
        """The tries that may have set `received_at`: up to the first that got a ticket; later tries send it."""
        first = next((at for at, attempt in enumerate(self.attempts) if attempt.ticket), len(self.attempts))
        return self.attempts[: first + 1]

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
