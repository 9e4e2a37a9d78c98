"""The progress of a replay while it runs: a live bar on a terminal, a plain line at intervals elsewhere.

The replay owns and changes the counts; this module only formats and shows them.
"""

import sys
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final, Protocol, Self

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

PLAIN_EVERY_S: Final = 5.0
LIVE_EVERY_S: Final = 0.25


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


def left_s(tally: Tally, elapsed_s: float, sending_s: float) -> float | None:
    """Seconds until the last post is ready, `elapsed_s` after the moment and `sending_s` before the last arrival.

    Sending ends with the trace. Rendering goes on at the rate at which posts have become ready so far; while none has,
    only the sending is known. None when nothing is left that can be estimated.
    """
    left = max(0.0, sending_s)
    expected = tally.offered - (tally.ended - tally.accepted)
    if tally.ready and elapsed_s > 0:
        left = max(left, (expected - tally.ready) * elapsed_s / tally.ready)
    return left or None


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
