"""The progress of a replay while it runs: a live bar on a terminal, a plain line at intervals elsewhere.

The replay owns and changes the counts; this module only formats and shows them.
"""

import sys
from collections import deque
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final, Protocol, Self

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

PLAIN_EVERY_S: Final = 5.0
LIVE_EVERY_S: Final = 0.25
PACE_S: Final = 10.0


class Tally(msgspec.Struct):
    """Live counts of one replay; `shed` and `limited` count answers, the others count arrivals."""

    offered: int
    phase: str = "waiting"
    sent: int = 0
    ended: int = 0
    accepted: int = 0
    shed: int = 0
    limited: int = 0
    ready: int = 0
    left_s: float | None = None  # an estimate

    def words(self) -> str:
        """The counts as one line of text."""
        return (
            f"{self.phase}: sent {self.sent}/{self.offered}, in flight {self.sent - self.ended}, "
            f"accepted {self.accepted}, shed {self.shed}, limited {self.limited}, ready {self.ready}"
            f"{'' if self.left_s is None else f', about {self.left_s:.0f} s left'}"
        )


class Pace:
    """How many posts become ready in a second, over the last `PACE_S` seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def note(self, now: float, ready: int) -> None:
        """So many posts are ready now."""
        self._seen.append((now, ready))
        while len(self._seen) > 1 and self._seen[1][0] <= now - PACE_S:
            self._seen.popleft()

    def per_s(self) -> float:
        """Posts a second; 0 when that is not known yet."""
        (since, before), (now, ready) = self._seen[0], self._seen[-1]
        return (ready - before) / (now - since) if now > since else 0.0


def left_s(tally: Tally, sending_s: float, per_s: float) -> float | None:
    """Seconds until the last post is ready, `sending_s` before the last arrival, when `per_s` posts become ready.

    The rest of the trace, and then the backlog of acknowledged posts at the present pace. None when nothing is left, or
    when there is a backlog and no pace.
    """
    backlog = tally.accepted - tally.ready
    if backlog > 0 and per_s <= 0:
        return None
    return max(0.0, sending_s) + (backlog / per_s if backlog > 0 else 0.0) or None


class Progress(AbstractContextManager["Progress"], Protocol):
    """Shows a tally every `every_s` seconds."""

    every_s: float

    def show(self, tally: Tally) -> None:
        """Show the tally now."""
        ...


class PlainProgress:
    """Prints lines for logs and pipes; each is flushed, because another program may be reading them."""

    every_s = PLAIN_EVERY_S

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, tally: Tally) -> None:
        """Print the tally as one line."""
        print(tally.words(), flush=True)


class LiveProgress:
    """A bar that fills with arrivals while they are sent, and with ready posts afterwards."""

    every_s = LIVE_EVERY_S

    def __init__(self, console: Console) -> None:
        self._bar = Bar(
            BarColumn(24), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console
        )
        self._task = self._bar.add_task("", total=None)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show(self, tally: Tally) -> None:
        """Set the bar and its text to the tally."""
        sending = tally.sent < tally.offered
        total, done = (tally.offered, tally.sent) if sending else (tally.accepted, tally.ready)
        self._bar.update(self._task, description=tally.words(), total=total, completed=done)


def progress_for(console: Console) -> PlainProgress | LiveProgress:
    """A live bar when the console is a terminal, plain lines otherwise."""
    return LiveProgress(console) if console.is_terminal and sys.stdout.isatty() else PlainProgress()
