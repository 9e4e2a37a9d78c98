"""The clock of bench: wall time that never jumps, and a sleep. Tests use a fake clock instead."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """The clock that the client and the replay are given."""

    def now(self) -> float:
        """Unix seconds; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`; when that is not positive, after one turn of the event loop."""
        ...


class SystemClock:
    """The machine's time as Unix seconds, which no step of the wall clock changes during a run."""

    def __init__(self) -> None:
        # Wall time is read once and then advanced by the monotonic clock: a replay compares its own times with the
        # server's `received_at`, so a step of the system clock would look like wrongly flagged posts.
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        """Unix seconds: the wall time at construction plus the monotonic time since then."""
        return self._offset + time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Sleep on the event loop."""
        await asyncio.sleep(max(0.0, seconds))
